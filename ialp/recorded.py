"""Objects described by JSON values (class_path and init_args, as in configs), and built again from those."""

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import isfunction, signature
from typing import Any, Self, TypeVar

from ialp.classes import find_class
from ialp.errors import UserError

Kind = TypeVar("Kind")


class Recorded:
    """Remembers the arguments of its constructor, defaults included; a subclass need do nothing for it.

    Attributes:
        init_args: Arguments of the constructor, by name.
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


def description(value: Any) -> Any:
    """JSON values from which `rebuild` makes an equal value.

    A `Recorded` object or a dataclass becomes {"class_path": …, "init_args": …}, a class or function {"import": …}, and
    a `functools.partial` of a class {"partial": …, "init_args": …}.

    Raises:
        UserError: A class or function that could not be imported again, or a value of another kind.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [description(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): description(each) for name, each in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type) or isfunction(value):
        return {"import": import_path(value)}
    if isinstance(value, partial):
        # jsonargparse's partials call a function of its own, with the class as the last positional argument.
        made = value.func if isinstance(value.func, type) or not value.args else value.args[-1]
        return {"partial": import_path(made), "init_args": description(value.keywords)}
    if isinstance(value, Recorded):
        arguments = value.init_args
    elif is_dataclass(value):
        arguments = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    else:
        raise UserError(
            f"a {type(value).__name__} cannot be written down: let its class inherit ialp.recorded.Recorded"
        )
    path = import_path(type(value))
    try:
        return {"class_path": path, "init_args": description(arguments)}
    except UserError as error:
        raise UserError(f"{type(value).__qualname__} cannot be saved with a run: its arguments: {error}") from None


def import_path(value: Any) -> str:
    """The dotted path of a class or function.

    Raises:
        UserError: It is defined in a function or in the script that runs, where no other process finds it.
    """
    name = getattr(value, "__qualname__", repr(value))
    if "<" in name or value.__module__ == "__main__":
        raise UserError(f"{name} cannot be saved with a run: define it at the top of a module of its own")
    return f"{value.__module__}.{name}"


def rebuild(described: Any, kind: type[Kind] | None = None) -> Kind:
    """The value of a `description`; only `Recorded` classes and dataclasses are called, whatever stands there.

    Raises:
        UserError: A class cannot be imported, is not of this kind, or does not take the arguments.
    """
    if isinstance(described, list):
        return [rebuild(each) for each in described]  # type: ignore[return-value]
    if not isinstance(described, Mapping):
        return described
    key = next((key for key in ("class_path", "partial", "import") if key in described), None)
    if key is None:
        return {name: rebuild(each) for name, each in described.items()}  # type: ignore[return-value]
    path = str(described[key])
    try:
        found: Any = find_class(path)
    except LookupError:
        raise UserError(f"{path} cannot be imported; call ialp where it can, or install it") from None
    if key == "import":
        return found
    if not (isinstance(found, type) and (issubclass(found, kind or Recorded) or (not kind and is_dataclass(found)))):
        raise UserError(f"{path} is no {(kind or Recorded).__name__}")
    arguments: dict[str, Any] = rebuild(described["init_args"])
    if key == "partial":
        return partial(found, **arguments)  # type: ignore[return-value]
    try:
        return found(**arguments)  # type: ignore[return-value]
    except TypeError as error:
        raise UserError(f"{path} does not take these arguments any more: {error}") from None
