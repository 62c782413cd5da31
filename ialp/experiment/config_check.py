"""Looks through a config before the parser does, to name the file, line, key and the near match of what is mistyped."""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ialp import classes
from ialp.classes import argument_names, near
from ialp.errors import UserError

PACKAGES = (
    "ialp.phases",
    "ialp.datamodules",
    "ialp.data",
    "ialp.data.readers",
    "ialp.rl.schemes",
    "ialp.rl",
    "ialp.oracle",
    "ialp.nets",
    "ialp.envs",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
)
"""Where the classes that a config may name live."""

REFERENCE = re.compile(r"\$\{([a-zA-Z]\w*)(?:\.(\w+))?[^}]*\}")


def check_configs(files: Sequence[Path], arguments: Sequence[str], keys: Sequence[str]) -> None:
    """Refuse what no parser could accept.

    Args:
        files: The configs of one stage, in order.
        arguments: The command line, where keys may be set as well.
        keys: Top-level keys that a config may have.

    Raises:
        UserError: A missing file, broken YAML, an unknown key or class, a reference to a key that is nowhere set.
    """
    trees = {file: read_tree(file) for file in files}
    inputs = _input_names(list(trees.values()), arguments)
    for file, tree in trees.items():
        for name, key, value in _pairs(tree, file):
            if name not in keys:
                raise _complaint(file, key, f'no key "{name}"', near(name, keys))
            if name == "trainer":
                _check_trainer(file, value)
        _check_node(file, tree, "")
        _check_references(file, tree, keys, inputs)


def read_tree(file: Path) -> MappingNode:
    """The YAML tree of a file, with line numbers."""
    if not file.is_file():
        hint = "" if Path("configs").is_dir() else " (`ialp init .` lays down the configs)"
        beside = sorted(str(path) for path in file.parent.glob("*.yaml")) if file.parent.is_dir() else []
        raise UserError(f"no config {file}{near(str(file), beside) or hint}")
    try:
        tree = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{file}:{line}: not YAML: {error.problem}") from None
    if not isinstance(tree, MappingNode):
        raise UserError(f"{file}: a config is a mapping of keys to values")
    return tree


def near_class(name: str) -> str:
    """As `near`, over the classes of the project, by their own name or the whole path."""
    paths = class_paths()
    by_name = {path.rpartition(".")[2]: path for path in paths}
    module, _, short = name.rpartition(".")
    if module in sys.modules and not module.startswith("ialp"):  # a module of the user's own
        paths, by_name = (
            [],
            {key: f"{module}.{key}" for key, value in vars(sys.modules[module]).items() if isinstance(value, type)},
        )
    matches = get_close_matches(short, list(by_name), n=1, cutoff=0.6)
    return f"; did you mean {by_name[matches[0]]}?" if matches else near(name, paths)


def class_paths() -> list[str]:
    """Public classes that a config may name, with the path under which it does."""
    modules = {package: import_module(package) for package in PACKAGES}
    return [
        f"{package}.{name}"
        for package, module in modules.items()
        for name in getattr(module, "__all__", vars(module))  # not vars alone: some are loaded when first named
        if inspect.isclass(getattr(module, name))
    ]


def find_class(class_path: str) -> type:
    """The class at a dotted path, or the project's class of a short name; errors as `ialp.classes.find_class`."""
    if "." not in class_path:
        class_path = next((path for path in class_paths() if path.endswith(f".{class_path}")), class_path)
    return classes.find_class(class_path)


def _check_node(file: Path, node: Node, path: str) -> None:
    """Every class below a node, and the arguments it is given."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check_node(file, item, path)
    if not isinstance(node, MappingNode):
        return
    entries = {name: value for name, _, value in _pairs(node, file)}
    if isinstance(named := entries.get("class_path"), ScalarNode) and "${" not in named.value:
        _check_class(file, named, entries.get("init_args"), path)
    for name, value in entries.items():
        _check_node(file, value, f"{path}.{name}".lstrip("."))


def _check_class(file: Path, named: ScalarNode, init_args: Node | None, path: str) -> None:
    try:
        names = argument_names(find_class(named.value))
    except LookupError:
        raise _complaint(file, named, f"{path}: no class {named.value}", near_class(named.value)) from None
    except UserError as error:
        raise _complaint(file, named, f"{path}: {error}") from None
    if isinstance(init_args, MappingNode) and names is not None:
        for name, key, _ in _pairs(init_args, file):
            if name not in names:
                hint = near(name, names) or f": it takes {', '.join(names) or 'no arguments'}"
                raise _complaint(file, key, f'{path}: {named.value.rpartition(".")[2]} has no "{name}"', hint)


def _check_trainer(file: Path, node: Node) -> None:
    from lightning import Trainer

    names = list(inspect.signature(Trainer).parameters)
    for name, key, _ in _pairs(node, file):
        if name not in names:
            raise _complaint(file, key, f'trainer has no "{name}"', near(name, names))


def _check_references(file: Path, node: Node, keys: Sequence[str], inputs: Sequence[str]) -> None:
    """`${upstream.x}` needs an input x, `${x}` a top-level key."""
    for scalar in _scalars(node):
        for name, part in REFERENCE.findall(scalar.value):
            if name == "upstream" and part not in inputs:
                raise _complaint(file, scalar, f'${{upstream.{part}}}: upstream has no "{part}"', near(part, inputs))
            if name not in keys and not scalar.value.startswith("${oc."):
                raise _complaint(file, scalar, f'${{{name}}}: no key "{name}"', near(name, keys))


def _input_names(trees: list[MappingNode], arguments: Sequence[str]) -> list[str]:
    """Keys of `upstream` in all files and on the command line."""
    named = [found[1] for text in arguments if (found := re.match(r"--upstream\.(\w+)", text))]
    for text in arguments:
        if text.startswith("--upstream="):
            named += list(yaml.safe_load(text.partition("=")[2]) or [])
    for tree in trees:
        for name, _, value in _pairs(tree, Path()):
            if name == "upstream" and isinstance(value, MappingNode):
                named += [key for key, _, _ in _pairs(value, Path())]
    return named


def _pairs(node: Node, file: Path) -> Iterator[tuple[str, ScalarNode, Node]]:
    """Name, key and value of each entry of a mapping; nothing for any other node."""
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if not isinstance(key, ScalarNode):
            raise _complaint(file, key, "a key must be a word")
        yield key.value, key, value


def _scalars(node: Any) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, MappingNode):
        for _, value in node.value:
            yield from _scalars(value)
    else:
        for item in node.value:
            yield from _scalars(item)


def _complaint(file: Path, node: Node, text: str, hint: str = "") -> UserError:
    return UserError(f"{file}:{node.start_mark.line + 1}: {text}{hint}")
