"""Which method a run is: read from the classes and settings in its config, never from the name of its folder."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ialp.classes import find_class
from ialp.runs.data import RunData
from ialp.runs.fingerprint import TRAINER_KEYS, learning_callbacks, without_places

FROZEN = "frozen iALP"
FINE_TUNE = "A-iALP FineTune"
POLICY_SET = "A-iALP PolicySet"
LLM_ONLINE = "LLMOnline"
SCRATCH = {"DQN": "DQN", "Reinforce": "PG", "A2C": "A2C"}
"""Algorithms that start from nothing, in the paper's order -> what the paper calls them."""
SCHEMES = {"LLMOnline": LLM_ONLINE, "FineTune": FINE_TUNE, "PolicySet": POLICY_SET}
ORDER = [*SCRATCH.values(), LLM_ONLINE, FROZEN, FINE_TUNE, POLICY_SET]
"""Rows of a table from above; methods that are not among these follow."""
OURS = (FINE_TUNE, POLICY_SET)
BASELINES = tuple(SCRATCH.values())
EXPLORATIONS = {"EpsilonGreedy": "ε-greedy", "Categorical": "categorical", "Greedy": "greedy"}

LENGTHS = {"max_epochs", "min_epochs", "max_steps", "min_steps", "max_time"}
"""Keys of the trainer that say how long a run goes on: the figures before its end are the same for any length."""
MEASURING = {"evaluate_sampled", "pretrained", "reward_model", "max_environment_steps", "budget"}
"""Arguments that do not change what is learnt before an end, or that stand for a run, which is compared as such."""


@dataclass(frozen=True)
class Method:
    """What makes two runs runs of one method, seeds apart.

    Attributes:
        name: The paper's name; the config's name where scheme or algorithm are not the project's own.
        exploration: Class of the exploration in words; "" without any.
        settings: Everything else that matters, as (dotted key, value) pairs.
        config: Name of the config.
    """

    name: str
    exploration: str
    settings: tuple[tuple[str, str], ...]
    config: str


def method_of(run: RunData) -> Method:
    """The method of an online run."""
    arguments = (run.config.get("model") or {}).get("init_args") or {}
    scheme, algorithm = _own_class(arguments.get("scheme")), _own_class(arguments.get("algorithm"))
    config = str(run.done.get("stage") or run.name)
    name = _name(scheme, algorithm) or config
    if name == FROZEN:
        return frozen_method(run)
    chosen = (arguments.get("exploration") or {}).get("class_path", "")
    exploration = EXPLORATIONS.get(_own_class(arguments.get("exploration")), chosen.rpartition(".")[2])
    return Method(name, exploration, _settings(run), config)


def frozen_method(run: RunData) -> Method:
    """The policy that an online run started from: all that matters of it is how it was pre-trained."""
    return Method(FROZEN, "", _of_pretraining(run), str(run.done.get("stage") or run.name))


def differences(method: Method, other: Method) -> dict[str, str]:
    """Settings in which a method differs from another, with the value that it has ("none" where it has none)."""
    mine, theirs = dict(method.settings), dict(other.settings)
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    return {key: mine.get(key, "none") for key in keys}


def _name(scheme: str, algorithm: str) -> str:
    """The paper's name of a scheme with an algorithm; "" where one of them is somebody's own."""
    if scheme == "Frozen":
        return FROZEN
    if scheme == "Scratch":
        return SCRATCH.get(algorithm, "")
    if scheme in SCHEMES and algorithm in SCRATCH:
        return SCHEMES[scheme] + ("" if algorithm == "A2C" else f", {SCRATCH[algorithm]}")
    return ""


def _own_class(part: Any) -> str:
    """Name of a class of this project, "" for anything else."""
    path = str(part.get("class_path", "")) if isinstance(part, Mapping) else ""
    module, _, name = path.rpartition(".")
    return name if not module or module.split(".")[0] == "ialp" else ""


def _settings(run: RunData) -> tuple[tuple[str, str], ...]:
    """What was set in model, data and trainer, and for what the run was built on, without seeds and places."""
    config, trainer = run.config, run.config.get("trainer") or {}
    content = {
        "model": config.get("model"),
        "data": config.get("data"),
        "trainer": {key: trainer.get(key) for key in TRAINER_KEYS if key not in LENGTHS},
        "callbacks": learning_callbacks(trainer),
    }
    plain = without_places(content, {folder: key for key, folder in (run.done.get("upstream") or {}).items()})
    return tuple(sorted(dict(_flat(plain)).items())) + _of_pretraining(run)


def _of_pretraining(run: RunData) -> tuple[tuple[str, str], ...]:
    """Settings of the pre-training that a run was built on, and of the oracle that judged there."""
    found: list[tuple[str, str]] = []
    for key in ("pretrained", "oracle"):
        if (above := run.upstream.get(key)) is not None:
            known = _settings(above) if above.config else (("run", above.name),)
            found += [(f"{key}.{name}", value) for name, value in known]
    return tuple(found)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Leaves with their dotted keys; nothing for what is not set. Wrapping keys of classes are left out of the path."""
    if isinstance(value, Mapping):
        filled = _with_defaults(value)
        for key, item in filled.items():
            if key not in MEASURING:
                yield from _flat(item, path if key in ("class_path", "init_args") else f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}.{number}")
    elif value is not None:
        yield path, str(value)


def _with_defaults(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A class as configured, with its own defaults for what the config does not say: an older config says less."""
    if "class_path" not in value:
        return value
    return {**value, "init_args": {**_defaults(str(value["class_path"])), **(value.get("init_args") or {})}}


@cache
def _defaults(class_path: str) -> dict[str, Any]:
    """Plain defaults of the arguments of a class of this project."""
    if not class_path.startswith("ialp."):
        return {}
    try:
        parameters = inspect.signature(find_class(class_path)).parameters.values()
    except LookupError:  # a class that this version has no more
        return {}
    return {each.name: each.default for each in parameters if isinstance(each.default, bool | int | float | str)}
