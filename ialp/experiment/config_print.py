"""What `--print_config` prints: the composed config as YAML, behind each value the place that it comes from."""

from collections.abc import Iterator
from typing import Any

import yaml
from yaml import Node, ScalarNode, SequenceNode

from ialp.experiment.composition import Composed, beside, entries_of, named_class, source


def config_text(config: dict[str, Any], composed: Composed, defaults: bool = True) -> str:
    """A config that `ialp fit --config` takes in turn; with `defaults` the values that are the class's own, too.

    `config` is what was parsed, in plain dicts, lists and scalars; interpolations are printed as they were written.
    """
    inputs = config.get("upstream") or {}
    for key, value in inputs.items():  # beside the config that names it; the printed one may lie anywhere
        places = beside(composed.find("upstream", key) or composed.tree, str(value), composed.files)
        inputs[key] = next((str(place) for place in places if value and place.exists()), value)
    return "\n".join([*_block(config, composed.tree, "", defaults), ""])


def _block(config: dict[str, Any], node: Node | None, owner: str, defaults: bool) -> Iterator[str]:
    """The lines of a mapping; `owner` is the class whose arguments are in it."""
    owner = str(config.get("class_path", owner)).rpartition(".")[2]
    for key, value in config.items():
        below = entries_of(node).get(key)
        yield from _entry(f"{key}:", value, below, owner or ("Trainer" if key == "trainer" else ""), defaults)


def _entry(key: str, value: Any, node: Node | None, owner: str, defaults: bool) -> Iterator[str]:
    """The lines of a key and its value."""
    if isinstance(node, ScalarNode) and "${" in node.value:
        value = node.value
    if isinstance(value, dict) and value:
        lines = list(_block(value, named_class(node) or node, owner, defaults))
        yield from [key, *(f"  {line}" for line in lines)] if lines else ()
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        nodes = node.value if isinstance(node, SequenceNode) and len(node.value) == len(value) else [node] * len(value)
        yield key
        for each, below in zip(value, nodes, strict=True):
            first, *rest = _block(each, named_class(below) or below, owner, True)
            yield from [f"  - {first}", *(f"    {line}" for line in rest)]
    elif node or defaults:
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        origin = source(node) if node else f"default of {owner}" if owner else "default"
        yield f"{key} {text.removesuffix('...' + chr(10)).strip()}  # {origin}"
