"""Objects that can be written down as class_path and init_args, as configs write them, and built again from that."""

import json
from importlib import import_module
from inspect import signature
from typing import Any, Self, TypeVar

from ialp.errors import UserError

Kind = TypeVar("Kind")


class Recorded:
    """Remembers what it was built with, defaults included; a subclass need do nothing for it.

    Attributes:
        init_args: Arguments of the constructor.
    """

    init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Records the arguments on their way to the constructor."""
        made = super().__new__(cls)
        _, *parameters = signature(cls.__init__).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
        given = zip((each.name for each in parameters), args, strict=False)
        made.init_args = {**defaults, **dict(given), **kwargs}
        return made


def description(made: Recorded) -> dict[str, Any]:
    """{"class_path": …, "init_args": …} of JSON values.

    Raises:
        UserError: A class that could not be imported again, or an argument that JSON cannot hold.
    """
    kind = type(made)
    if "<locals>" in kind.__qualname__ or kind.__module__ == "__main__":
        raise UserError(f"{kind.__qualname__} cannot be saved with a run: define it at the top of a module of its own")
    try:
        arguments = json.loads(json.dumps(made.init_args))
    except (TypeError, ValueError) as error:
        raise UserError(f"{kind.__qualname__} cannot be saved with a run: its arguments: {error}") from None
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def rebuild(described: dict[str, Any], kind: type[Kind]) -> Kind:
    """The object of a `description`, which must be of this kind.

    Raises:
        UserError: The class cannot be imported, is of another kind, or does not take the arguments.
    """
    path = str(described["class_path"])
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path} cannot be imported ({error}); call ialp where it can, or install it") from None
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{path} is no {kind.__name__}")
    try:
        return found(**described["init_args"])
    except TypeError as error:
        raise UserError(f"{path} does not take these arguments any more: {error}") from None
