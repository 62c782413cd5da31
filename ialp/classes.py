"""Classes by dotted path, their arguments, and the nearest known word to a mistyped one."""

import inspect
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import get_args, get_type_hints

from ialp.errors import UserError


def near(word: str, known: Sequence[str]) -> str:
    """The hint "; did you mean X?", or nothing where no known word is near."""
    matches = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def argument_names(cls: type) -> list[str] | None:
    """Arguments of a class, or None where it takes any."""
    parameters = inspect.signature(cls).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return None if takes_all else list(parameters)


def dataclass_fields(cls: type, argument: str) -> list[str]:
    """Fields of the dataclass that an argument of a constructor is typed with; none where it is typed otherwise."""
    try:
        annotation = get_type_hints(cls.__init__).get(argument)  # type: ignore[misc]
    except NameError:  # of a module that is imported for types alone
        return []
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and is_dataclass(kind)]
    return [each.name for kind in kinds for each in fields(kind)]


def find_class(class_path: str) -> type:
    """The class at a dotted path.

    Raises:
        LookupError: There is no such class.
        UserError: Its module cannot be imported.
    """
    module, _, name = class_path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise LookupError(class_path) from None
        raise UserError(f"{module} cannot be imported: {error}") from error
    except (AttributeError, ValueError):
        raise LookupError(class_path) from None
    except (ImportError, SyntaxError) as error:
        raise UserError(f"{module} cannot be imported: {error}") from error
