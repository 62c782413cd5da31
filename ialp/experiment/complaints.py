"""One line from the parser's many."""

import re
from argparse import ArgumentError
from collections.abc import Sequence

from ialp.classes import argument_names, near
from ialp.errors import UserError
from ialp.experiment.config_check import find_class, near_class

NOISE = re.compile(
    r"(- )?(Does not validate against any|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Parser key"
    r"|Expected a path but|Problem with given class_path|Not a valid subclass"
    r"|Subclass types expect|a class path|a dict)"
)
"""Starts of lines that tell what the parser tried, not what is wrong."""


def complaint(error: Exception, flags: Sequence[str]) -> UserError:
    """What the user should mend, from an error of jsonargparse or OmegaConf.

    Args:
        error: What the parser raised.
        flags: Options of the verb, for near matches.
    """
    text = error.message if isinstance(error, ArgumentError) else str(error)
    if not isinstance(error, ArgumentError):
        return UserError(f"config: {text.splitlines()[0]}")
    if unknown := re.search(r"unrecognized arguments: (\S+)", text):
        flag = unknown[1].partition("=")[0]
        return UserError(f"no option {flag}{near(flag, flags)}")
    key = ".".join(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', text)))
    where = f"{key}: " if key else ""
    if refused := re.search(r"Option '(\w+)' is not accepted", text):
        return UserError(f'{where}no "{refused[1]}"{_near_argument(text, refused[1])}')
    if no_class := re.search(
        r"Expected a dot import path string: (\S+)|class_path '(\S+)':\s+module '\S+' has no", text
    ):
        name = no_class[1] or no_class[2]
        return UserError(f"{where}no class {name}{near_class(name)}")
    causes = [line.strip() for line in text.splitlines() if line.strip() and not NOISE.match(line.strip())]
    return UserError(where + " ".join(causes[:2] or text.split("\n")[:1]))


def _near_argument(text: str, name: str) -> str:
    """Near match among the arguments of the innermost class that the message names."""
    classes = re.findall(r"class_path '([^']+)'", text)
    try:
        names = argument_names(find_class(classes[-1])) if classes else None
    except LookupError:
        names = None
    return near(name, names or [])
