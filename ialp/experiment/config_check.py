"""Looks through a config before the parser does, to name the file, line, key and the near match of what is mistyped."""

import inspect
import re
from argparse import ArgumentError
from collections.abc import Sequence

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ialp.classes import argument_names, dataclass_fields, near
from ialp.errors import UserError
from ialp.experiment.class_names import find_class, near_class
from ialp.experiment.composition import Composed, entries_of, source

REFERENCE = re.compile(r"\$\{([a-zA-Z]\w*)(?:\.(\w+))?[^}]*\}")

NOISE = re.compile(  # starts of lines that tell what the parser tried, not what is wrong
    r"(- )?(Does not validate against any|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Parser key"
    r"|Expected a path but|Problem with given class_path|Not a valid subclass"
    r"|Subclass types expect|a class path|a dict)"
)


def check_config(config: Composed, keys: Sequence[str]) -> None:
    """Refuse what no parser could accept; `keys` are the top-level ones that the config of a stage may have.

    Raises:
        UserError: An unknown key, class or argument, a reference to a key that is nowhere set.
    """
    from lightning import Trainer

    entries = entries_of(config.tree)
    check_keys(config.tree, "", keys)
    check_keys(entries.get("trainer"), "trainer", list(inspect.signature(Trainer).parameters))
    _check_node(config.tree, "", keys, list(entries_of(entries.get("upstream"))))


def complaint(error: Exception, config: Composed | None = None) -> UserError:
    """What the user should mend, in one line, from an error of jsonargparse or OmegaConf."""
    if not isinstance(error, ArgumentError):
        return UserError(f"config: {str(error).splitlines()[0]}")
    text = error.message
    if unknown := re.search(r"unrecognized arguments: ([^\s=]+)", text):
        return UserError(f"no option {unknown[1]}")
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', text)))
    node = config.find(*".".join(keys).split(".")) if config else None
    where = "".join(f"{part}: " for part in (source(node) if node else "", ".".join(keys)) if part)
    if no_class := re.search(
        r"Expected a dot import path string: (\S+)|class_path '(\S+)':\s+module '\S+' has no", text
    ):
        name = no_class[1] or no_class[2]
        return UserError(f"{where}no class {name}{near_class(name)}")
    causes = [line.strip() for line in text.splitlines() if line.strip() and not NOISE.match(line.strip())]
    return UserError(where + " ".join(causes[:2] or text.split("\n")[:1]))


def _check_node(node: Node, path: str, keys: Sequence[str], inputs: Sequence[str]) -> None:
    """Every class and reference at and below a node."""
    if isinstance(node, ScalarNode):
        _check_references(node, keys, inputs)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            _check_node(item, path, keys, inputs)
    else:
        entries = entries_of(node)
        if isinstance(named := entries.get("class_path"), ScalarNode) and "${" not in named.value:
            _check_class(named, entries.get("init_args"), path)
        for name, value in entries.items():
            _check_node(value, f"{path}.{name}".lstrip("."), keys, inputs)


def _check_class(named: ScalarNode, init_args: Node | None, path: str) -> None:
    try:
        names = argument_names(find_class(named.value))
    except LookupError:
        raise UserError(f"{source(named)}: {path}: no class {named.value}{near_class(named.value)}") from None
    except UserError as error:
        raise UserError(f"{source(named)}: {path}: {error}") from None
    if names is None:
        return
    check_keys(init_args, f"{path}: {named.value.rpartition('.')[2]}", names)
    for name, value in entries_of(init_args).items():
        if known := dataclass_fields(find_class(named.value), name):
            check_keys(value, f"{path}.{name}", known)


def check_keys(node: Node | None, owner: str, known: Sequence[str]) -> None:
    """Only known keys in a mapping."""
    for key, _ in node.value if isinstance(node, MappingNode) else ():
        if key.value not in known:
            hint = near(key.value, known) or f": it takes {', '.join(known) or 'no arguments'}" * bool(owner)
            raise UserError(f'{source(key)}: {f"{owner} has no" if owner else "no key"} "{key.value}"{hint}')


def _check_references(scalar: ScalarNode, keys: Sequence[str], inputs: Sequence[str]) -> None:
    """`${upstream.x}` needs an input x, `${x}` a top-level key."""
    for name, part in REFERENCE.findall(scalar.value):
        if name == "upstream" and part not in inputs:
            raise UserError(f'{source(scalar)}: ${{upstream.{part}}}: upstream has no "{part}"{near(part, inputs)}')
        if name not in keys and not scalar.value.startswith("${oc."):
            raise UserError(f'{source(scalar)}: ${{{name}}}: no key "{name}"{near(name, keys)}')
