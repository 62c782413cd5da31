"""What every judge can do: answer questions with log-probabilities, and be tuned."""

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn
from typing_extensions import override

from ialp.data.catalogue import Catalogue
from ialp.errors import UserError
from ialp.oracle.questions import Questions
from ialp.recorded import Recorded

ORACLE_FOLDER = "oracle"  # where a run of OracleTuning leaves what it learnt
ORACLE_FILE = "oracle.json"
STORE_EVERY = 256  # questions; a killed run loses no more than these


class BudgetExceeded(UserError):  # noqa: N818 - a clean stop
    """A judge would have to be asked more often than the budget allows; all answers so far are in the cache."""


@dataclass
class LoRA:
    """Low-rank adapters, with PEFT's arguments: rank r, the update scaled by alpha / rank, dropout on their inputs.

    Attributes:
        target_modules: Names of the layers that get one, or "all-linear": every linear layer but the output head.
        modules_to_save: Layers trained as a whole and saved with the adapter, such as the embeddings.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    target_modules: str | list[str] = "all-linear"
    modules_to_save: list[str] | None = None


class Tuner(nn.Module, ABC):
    """The trainable form of a judge, as OracleTuning sees it."""

    @abstractmethod
    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (scalar) of answer (B,), K for None, and the (B, K + 1) log-probabilities of the labels."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learnt, so that `JudgeBackend.tuned` finds it."""

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """What the optimiser gets; a judge may scale the learning rate to its own parameters."""
        return [{"params": [each for each in self.parameters() if each.requires_grad], "lr": lr}]


class Untuned(Tuner):
    """The tuner of a judge that learns nothing: it answers as it is, and only its threshold for None is fitted."""

    def __init__(self, judge: "JudgeBackend"):
        super().__init__()
        self.judge = judge

    @override
    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        log_probabilities = self.judge.log_probabilities(questions).to(answer.device)
        return nn.functional.nll_loss(log_probabilities, answer), log_probabilities

    @override
    def save(self, folder: Path) -> None:
        save_about(folder, {"judge": type(self.judge).__name__})


class JudgeBackend(Recorded, ABC):
    """Answers questions. A subclass with `log_probabilities`, named in YAML by `class_path`, is all that a judge needs.

    Whatever can change an answer must be an argument of the constructor, or written in the file that holds the class:
    the cache knows a judge by these. A judge that depends on more, such as a file that it reads, says so in
    `fingerprint`.

    Attributes:
        interrupted: Set by another thread than the one that asks: `stream` ends as by Ctrl-C when it next looks here.
    """

    interrupted = False
    _mass, _answered = 0.0, 0  # sum over the answers of a language model, and their number

    @abstractmethod
    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1) float32 log-probabilities of the labels, normalised over them; the last is None."""

    @property
    def name(self) -> str:
        """For people: shown in reports and in the final table."""
        return type(self).__name__

    @property
    def fingerprint(self) -> str:
        """All but the prompt that can change an answer: here class, source file and arguments of the constructor.

        Raises:
            UserError: An argument has no value of its own to tell it by.
        """
        kind = type(self)
        arguments = repr(sorted(self.init_args.items()))
        if " at 0x" in arguments:
            raise UserError(f"judge {self.name}: arguments {arguments} do not tell one judge from another; "
                            "define `fingerprint`, from all that can change an answer")  # fmt: skip
        try:
            source = inspect.getsource(inspect.getmodule(kind) or kind)
        except (OSError, TypeError):
            raise UserError(f"judge {self.name}: its source is not in a file; define `fingerprint`") from None
        return hash_of(f"{kind.__module__}.{kind.__qualname__}", source, arguments)

    def stream(self, questions: Questions) -> Iterator[tuple[list[int], Tensor]]:
        """Answers as they come in: rows of `questions`, and their log-probabilities (rows, K + 1).

        What was yielded is stored, even where a later answer fails. Here `STORE_EVERY` come at once; a judge whose
        answers arrive one by one, and cost something, yields them so.
        """
        for start in range(0, len(questions), STORE_EVERY):
            if self.interrupted:
                raise KeyboardInterrupt
            rows = list(range(start, min(start + STORE_EVERY, len(questions))))
            yield rows, self.log_probabilities(questions.select(rows))

    def tuner(self, lora: LoRA) -> Tuner:
        """A trainable copy; judges that are no networks take what they need of `lora`. Here nothing is to learn."""
        return Untuned(self)

    def tuned(self, folder: str | Path) -> Self:
        """This judge with what OracleTuning left in a run folder: one with the `adapter`, if its constructor takes it.

        Raises:
            UserError: Nothing is there, or it was tuned on another judge.
        """
        return type(self)(**self.init_args | {"adapter": str(folder)}) if "adapter" in self.init_args else self

    def prepare(self, catalogue: Catalogue) -> None:
        """Read the catalogue before the first question."""

    def release(self) -> None:
        """Give back the memory of a model that is not asked for now; the next question loads it again."""

    def share(self, rank: int, ranks: int) -> None:
        """Called before the first question, where `ranks` processes ask and share limits of the judge."""

    @property
    def counts(self) -> dict[str, int]:
        """What the judge counts besides answers, for the log and done.json."""
        return {}

    @property
    def label_mass(self) -> float | None:
        """Mean probability that the model gave to any label at all, or None where that has no meaning."""
        return self._mass / self._answered if self._answered else None


def hash_of(*parts: Any) -> str:
    """SHA-256 (hex) of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_about(folder: Path, about: dict[str, Any]) -> None:
    """Write oracle.json: which judge was tuned, and what it learnt, if that is no file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ORACLE_FILE).write_text(json.dumps(about, indent=2) + "\n")


def part_of(limit: int | None, rank: int, ranks: int) -> int | None:
    """What one of `ranks` processes may take of a limit; the parts add up to it. None is no limit."""
    return None if limit is None else limit * (rank + 1) // ranks - limit * rank // ranks


def checked(judge: JudgeBackend, answers: Tensor, rows: int, labels: int) -> Tensor:
    """The answers (rows, K + 1) as float32 on the CPU, if they are log-probabilities at all.

    Raises:
        UserError: They are of another shape, not normalised, or no numbers.
    """
    said = f"judge {judge.name}: log_probabilities gave"
    if not isinstance(answers, Tensor):
        raise UserError(f"{said} a {type(answers).__name__}, not a torch.Tensor")
    answers = answers.detach().float().cpu()
    if answers.shape != (rows, labels):
        raise UserError(f"{said} {tuple(answers.shape)}, not {(rows, labels)}: a row per question, None's column last")
    totals = answers.exp().sum(1)
    odd = ~((totals - 1).abs() < 1e-3)
    if odd.any():
        raise UserError(
            f"{said} probabilities that add up to {float(totals[odd][0]):.4g}, not 1; end in log_softmax(1)"
        )
    return answers


def find_oracle(folder: str | Path) -> Path:
    """The folder that holds a tuned oracle: `folder` itself, or `oracle/` inside it, as in a run folder.

    Raises:
        UserError: Neither is there.
    """
    for path in (Path(folder) / ORACLE_FOLDER, Path(folder)):
        if (path / ORACLE_FILE).is_file() or (path / "adapter_config.json").is_file():
            return path
    raise UserError(f"adapter {folder}: no {ORACLE_FILE} there; give the run folder of a finished oracle tuning")
