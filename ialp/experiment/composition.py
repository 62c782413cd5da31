"""Composes configs: `defaults:` lists, several --config and the command line, into one tree that knows its sources."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ialp.classes import near
from ialp.errors import UserError
from ialp.experiment.class_names import same_class

COMMAND_LINE = "command line"
CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")
NOTHING = MappingNode("tag:yaml.org,2002:map", [])


class Option(ScalarNode):
    """A single value of the command line, which the parser reads from there: text becomes a number by its type."""


@dataclass(frozen=True)
class Composed:
    """What `ialp fit` is called with.

    Attributes:
        files: Configs named on the command line.
        tree: The whole config; `source` tells where a node was written.
        arguments: For the parser: one --config with all the files, and single values of the command line.
    """

    files: list[Path]
    tree: MappingNode
    arguments: list[str]

    def find(self, *keys: str) -> Node | None:
        """The node at a path of keys; `init_args` may be left out."""
        node: Node | None = self.tree
        for key in keys:
            entries = entries_of(node)
            node = entries.get(key) or entries_of(entries.get("init_args")).get(key)
        return node


def compose(arguments: Sequence[str]) -> Composed:
    """Lay files over their `defaults`, later files over earlier ones, and options over all of them.

    Mappings are merged key by key. A class other than the one below replaces it with all its arguments.

    Raises:
        UserError: A missing file, broken YAML, a config that builds on itself.
    """
    tree = NOTHING
    given = list(_options(arguments))
    files = [Path(value or "") for key, value, _ in given if key in ("--config", "-c")]
    for file in files:
        for expanded in _expanded(file):
            tree = laid_over(tree, expanded)
    options, others = [], []
    for key, value, tokens in given:
        if value is None or key.endswith(("help", "+")) or not key.startswith("--"):
            others += tokens
        elif key != "--config":
            node = _option_value(value)
            options.append((node, tokens))
            tree = laid_over(tree, _nested(tree, key.removeprefix("--").split("."), node))
    alive = set(map(id, _nodes(tree)))
    kept = [token for node, tokens in options if isinstance(node, Option) and id(node) in alive for token in tokens]
    text = yaml.serialize(_without_options(tree) or NOTHING, Dumper=yaml.SafeDumper, width=10_000)
    return Composed(files, tree, [f"--config={text}", *kept, *others])


def merged(below: Node | None, above: Node) -> Node:
    """`above` laid over `below`, if both are mappings."""
    if "class_path" in entries_of(below):
        above = named_class(above) or above
    if "init_args" in entries_of(above):
        below = named_class(below) or below
    if isinstance(below, MappingNode) and isinstance(above, MappingNode):
        return laid_over(below, above)
    return above


def laid_over(below: MappingNode, above: MappingNode) -> MappingNode:
    """A mapping over another, key by key; a class over another class replaces it."""
    old, new = (entries_of(node).get("class_path") for node in (below, above))
    if old and new:
        if not same_class(old.value, new.value):
            return above
        if isinstance(new, Option):  # the parser still reads the arguments below from the file
            above = _mapping([(key, value) for key, value in above.value if value is not new])
    pairs = {key.value: (key, value) for key, value in below.value}
    for key, value in above.value:
        pairs[key.value] = key, merged(pairs[key.value][1] if key.value in pairs else None, value)
    return _mapping(pairs.values(), below)


def read_tree(file: Path) -> MappingNode:
    """The YAML tree of a file, with line numbers."""
    if not file.is_file():
        hint = "" if Path("configs").is_dir() else " (`ialp init .` lays down the configs)"
        there = sorted(map(str, file.parent.glob("*.yaml")))
        raise UserError(f"no config {file}{near(str(file), there) or hint}")
    try:
        with file.open(encoding="utf-8") as text:
            tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{file}:{line}: not YAML: {error.problem}") from None
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise UserError(f"{file}: not a text file in UTF-8: {error.reason}") from None
    if not isinstance(tree, MappingNode):
        raise UserError(f"{file}: a config is a mapping of keys to values")
    for node in _nodes(tree):
        for key, _ in node.value if isinstance(node, MappingNode) else ():
            if not isinstance(key, ScalarNode):
                raise UserError(f"{source(key)}: a key must be a word")
    return tree


def beside(node: Node, name: str, others: Sequence[Path] = ()) -> list[Path]:
    """Where a path that is written at a node may lie: in its file's folder, in that one's parent, or as it stands.

    A path of the command line is looked for beside the configs `others`.
    """
    files = [Path(node.start_mark.name)] if node.start_mark.name != COMMAND_LINE else list(reversed(others))
    places = [folder / name for file in files for folder in (file.parent, file.parent / "..")]
    return [Path(os.path.normpath(place)) for place in places] + [Path(name)]


def source(node: Node) -> str:
    """Where a node was written: file:line, or the command line."""
    mark = node.start_mark
    return COMMAND_LINE if mark.name == COMMAND_LINE else f"{mark.name}:{mark.line + 1}"


def entries_of(node: Node | None) -> dict[str, Node]:
    """The values of a mapping by key; nothing for any other node."""
    return {key.value: value for key, value in node.value} if isinstance(node, MappingNode) else {}


def named_class(node: Node | None) -> MappingNode | None:
    """A class that is named by its path alone, spelt out; None for any other node."""
    if not isinstance(node, ScalarNode) or not node.tag.endswith(":str") or "${" in node.value:
        return None
    return _mapping([(ScalarNode(node.tag, "class_path", node.start_mark), node)], node)


def _expanded(file: Path, above: tuple[Path, ...] = ()) -> Iterator[MappingNode]:
    """What a config builds on, first things first, and itself without its `defaults`."""
    tree = read_tree(file)
    entries = entries_of(tree)
    names = entries.pop("defaults", None)
    if names and not isinstance(names, SequenceNode):
        raise UserError(f"{source(names)}: defaults: a list of configs is expected, such as [logs/lfm, base/online]")
    for node in names.value if names else ():
        places = beside(node, f"{str(node.value).removesuffix('.yaml')}.yaml")
        place = next((place for place in places if place.is_file()), None)
        if place is None:
            there = [str(path) for folder in places for path in folder.parent.glob("*.yaml")]
            raise UserError(f"{source(node)}: defaults: no config {places[0]}{near(str(places[0]), there)}")
        if place.resolve() in (*above, file.resolve()):
            raise UserError(f"{source(node)}: defaults: {place} builds on itself")
        yield from _expanded(place, (*above, file.resolve()))
    yield _mapping([(key, value) for key, value in tree.value if key.value != "defaults"], tree)


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None, list[str]]]:
    """Name, value and tokens of each option."""
    position = 0
    while position < len(arguments):
        key, equals, value = arguments[position].partition("=")
        after = arguments[position + 1 : position + 2]
        if equals or not key.startswith("-") or not after or after[0].startswith("--"):
            yield key, value if equals else None, [arguments[position]]
            position += 1
        else:
            yield key, after[0], [arguments[position], after[0]]
            position += 2


def _option_value(text: str) -> Node:
    """A value of the command line."""
    mark = yaml.Mark(COMMAND_LINE, 0, 0, 0, None, 0)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        node = None
    if not isinstance(node, MappingNode | SequenceNode):
        return Option(node.tag if node else "tag:yaml.org,2002:str", text, mark, mark)
    for each in _nodes(node):
        each.start_mark = mark
    return node


def _nested(tree: Node | None, keys: Sequence[str], value: Node) -> Any:
    """A tree with one branch; where a class stands in `tree`, its arguments are meant: `model.lr`."""
    if not keys:
        return value
    if isinstance(tree, ScalarNode) and "${" in tree.value:
        raise UserError(
            f"{source(value)}: {'.'.join(keys)} reaches into {tree.value} ({source(tree)}): set that key itself, or "
            "give a whole class in its place"
        )
    key, *rest = keys
    entries = entries_of(named_class(tree) or tree)
    if "class_path" in entries and key not in CLASS_KEYS:
        key, rest = "init_args", list(keys)
    return _mapping(
        [(ScalarNode("tag:yaml.org,2002:str", key, value.start_mark), _nested(entries.get(key), rest, value))]
    )


def _nodes(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    if isinstance(node, MappingNode | SequenceNode):
        for each in node.value:
            for part in each if isinstance(each, tuple) else (each,):
                yield from _nodes(part)


def _without_options(node: Node) -> Node | None:
    """A tree without single values of the command line; None where nothing else was in it."""
    if isinstance(node, Option):
        return None
    if not isinstance(node, MappingNode) or not node.value:
        return node
    kept = [(key, value) for key, old in node.value if (value := _without_options(old))]
    return _mapping(kept, node) if kept else None


def _mapping(pairs: Any, like: Node | None = None) -> MappingNode:
    return MappingNode(NOTHING.tag, list(pairs), like.start_mark if like else None)
