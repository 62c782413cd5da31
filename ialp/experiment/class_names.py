"""The classes that a config may name, in full or by their own name."""

import inspect
from difflib import get_close_matches
from importlib import import_module

from ialp import classes
from ialp.errors import UserError

PACKAGES = (  # where they live
    "ialp.phases",
    "ialp.datamodules",
    "ialp.data",
    "ialp.data.readers",
    "ialp.rl.schemes",
    "ialp.rl.large",
    "ialp.rl",
    "ialp.oracle",
    "ialp.nets",
    "ialp.envs",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
)


def class_paths() -> list[str]:
    """Dotted paths of the public classes."""
    modules = {package: import_module(package) for package in PACKAGES}
    return [
        f"{package}.{name}"
        for package, module in modules.items()
        for name in getattr(module, "__all__", vars(module))
        if inspect.isclass(getattr(module, name))
    ]


def find_class(class_path: str) -> type:
    """The class at a dotted path, or the project's class of a short name; errors as `ialp.classes.find_class`."""
    if "." not in class_path:
        class_path = next((path for path in class_paths() if path.endswith(f".{class_path}")), class_path)
    return classes.find_class(class_path)


def same_class(one: str, other: str) -> bool:
    """Whether two paths name the same class, which may be known by several."""
    try:
        return one == other or find_class(one) is find_class(other)
    except (LookupError, UserError):
        return False


def near_class(name: str) -> str:
    """The hint "; did you mean X?", where a public class has nearly this name."""
    by_name = {path.rpartition(".")[2]: path for path in class_paths()}
    matches = get_close_matches(name.rpartition(".")[2], by_name, n=1, cutoff=0.6)
    return f"; did you mean {by_name[matches[0]]}?" if matches else ""
