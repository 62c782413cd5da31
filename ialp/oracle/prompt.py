"""The prompt: a template file with six fields, filled with a history and labelled candidates."""

import string
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ialp.errors import UserError
from ialp.oracle.neutralise import clauses, neutralise

LABELS = string.ascii_lowercase
DEFAULT_TEMPLATE = Path(__file__).parent / "templates" / "preference.txt"
FIELDS = ("scenario", "item", "behavior", "attributes", "history", "candidates")
HISTORY_MARK, CANDIDATES_MARK = "\0history\0", "\0candidates\0"  # no text file holds them


class TemplateError(UserError, ValueError):
    """A template file that cannot be filled."""


class PromptTemplate:
    """Turns a history and K candidates into the question that the judge answers with one label.

    Args:
        scenario: Kind of platform, as in "You are a user in a {scenario} platform now".
        item: What is recommended, for example "music track".
        behavior: What users do with items, for example "listening".
        attributes: Names of the text attributes, in the order in which items are rendered.
        path: A template file of one's own; it must hold every field of `FIELDS`, {history} and {candidates} once,
            and {history} first. Literal braces are doubled.
        max_history: Only the latest so many items of the history are shown.

    Attributes:
        prefix: The text up to the history, equal for all questions of a catalogue.
    """

    def __init__(
        self,
        scenario: str,
        item: str,
        behavior: str,
        attributes: Sequence[str],
        path: str | None = None,
        max_history: int = 10,
    ):
        if max_history < 1:
            raise ValueError(f"max_history must be at least 1, got {max_history}")
        self.max_history = max_history
        words = {"scenario": scenario, "item": item, "behavior": behavior}
        filled = read_template(Path(path) if path else DEFAULT_TEMPLATE).format(
            **{name: neutralise(word) for name, word in words.items()},
            attributes="; ".join(neutralise(name) for name in attributes),
            history=HISTORY_MARK,
            candidates=CANDIDATES_MARK,
        )
        self.prefix, rest = filled.split(HISTORY_MARK)
        self._middle, self._ending = rest.split(CANDIDATES_MARK)
        self._reserved = clauses(self._ending.splitlines()[-1]) if self._ending.strip() else ()

    def render(self, history: Sequence[str], candidates: Sequence[str]) -> str:
        """The whole prompt, from rendered items; None gets the label after the last candidate's."""
        *labels, none = self.labels(len(candidates))
        plain = partial(neutralise, reserved=self._reserved)
        shown = ", ".join(map(plain, history[-self.max_history :])) or "nothing yet"
        offered = map(plain, candidates)
        choices = [f"{label}. {text}" for label, text in zip(labels, offered, strict=True)]
        return f"{self.prefix}{shown}{self._middle}{' '.join(choices)} {none}. None{self._ending}"

    def labels(self, num_candidates: int) -> list[str]:
        """The labels of K candidates and, last, that of None: "a" to "k" for ten."""
        if not 1 <= num_candidates < len(LABELS):
            raise ValueError(f"a prompt takes 1 to {len(LABELS) - 1} candidates, got {num_candidates}")
        return list(LABELS[: num_candidates + 1])


def read_template(path: Path) -> str:
    """A template without its trailing white space, checked so that filling it cannot fail."""
    if not path.is_file():
        raise TemplateError(f"prompt template {path}: no such file")
    text = path.read_text(encoding="utf-8").rstrip()
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise TemplateError(f"prompt template {path}: {error}; double a brace that is meant literally") from None
    faults = [f"field {{{field}}} is missing" for field in FIELDS if field not in names]
    faults += [f"unknown field {{{name}}}; known are {', '.join(FIELDS)}" for name in names if name not in FIELDS]
    faults += [f"field {{{name}}} appears more than once" for name in FIELDS[-2:] if names.count(name) > 1]
    if not faults and names.index("history") > names.index("candidates"):
        faults = ["field {history} must come before {candidates}"]
    if faults:
        raise TemplateError(f"prompt template {path}: {faults[0]}")
    return text
