"""The method of a run, read from the classes and settings in its config, never from the name of its folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ialp.runs.data import RunData
from ialp.runs.fingerprint import TRAINER_KEYS, learning_callbacks, without_places

FROZEN = "frozen iALP"
FINE_TUNE = "A-iALP FineTune"
POLICY_SET = "A-iALP PolicySet"
LLM_ONLINE = "LLMOnline"
SCRATCH = {"DQN": "DQN", "Reinforce": "PG", "A2C": "A2C"}
"""Class of an algorithm -> the paper's name, in the paper's order."""
SCHEMES = {"LLMOnline": LLM_ONLINE, "FineTune": FINE_TUNE, "PolicySet": POLICY_SET}
OURS = (FINE_TUNE, POLICY_SET)
BASELINES = tuple(SCRATCH.values())
ORDER = [*BASELINES, LLM_ONLINE, FROZEN, *OURS]  # rows of a table from above; other methods follow
EXPLORATIONS = {"EpsilonGreedy": "ε-greedy", "Categorical": "categorical", "Greedy": "greedy"}
# Arguments that do not change what is learnt before the end, or name a run, whose own settings are compared.
NOT_LEARNT = {"evaluation", "pretrained", "reward_model", "max_environment_steps", "budget"}


@dataclass(frozen=True)
class Method:
    """What runs that differ in their seed only have in common."""

    name: str  # the paper's; the config's where scheme or algorithm are not the project's own
    exploration: str  # its class in words; "" without any
    settings: tuple[tuple[str, str], ...]  # all that matters, the exploration included: (dotted key, value)
    config: str


def method_of(run: RunData) -> Method:
    """The method of an online run."""
    if (name := method_name(run)) == FROZEN:
        return frozen_method(run)
    exploration = _arguments(run).get("exploration")
    chosen = EXPLORATIONS.get(_own_class(exploration)) or (exploration or {}).get("class_path", "").rpartition(".")[2]
    return Method(name, chosen, _settings(run), _config(run))


def frozen_method(run: RunData) -> Method:
    """The policy that an online run started from: only how it was pre-trained matters."""
    return Method(FROZEN, "", _of_pretraining(run), _config(run))


def method_name(run: RunData) -> str:
    """The paper's name of a run's scheme and algorithm; the config's where one of them is somebody's own class."""
    scheme, algorithm = (_own_class(_arguments(run).get(part)) for part in ("scheme", "algorithm"))
    if scheme == "Frozen":
        return FROZEN
    if scheme == "Scratch" and algorithm in SCRATCH:
        return SCRATCH[algorithm]
    if scheme in SCHEMES and algorithm in SCRATCH:
        return SCHEMES[scheme] + ("" if algorithm == "A2C" else f", {SCRATCH[algorithm]}")
    return _config(run)


def differences(method: Method, other: Method) -> dict[str, str]:
    """Settings in which a method differs from another, with the value that it has ("none" where it has none)."""
    mine, theirs = dict(method.settings), dict(other.settings)
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    return {key: mine.get(key, "none") for key in keys}


def _config(run: RunData) -> str:
    return str(run.done.get("stage") or run.name)


def _arguments(run: RunData) -> Mapping[str, Any]:
    return (run.config.get("model") or {}).get("init_args") or {}


def _own_class(part: Any) -> str:
    """Name of a class of this project; "" for anything else."""
    path = str(part.get("class_path", "")) if isinstance(part, Mapping) else ""
    return path.rpartition(".")[2] if path.startswith("ialp.") else ""


def _settings(run: RunData) -> tuple[tuple[str, str], ...]:
    """Model, data, trainer and what the run was built on, without seeds and places."""
    config, trainer = run.config, run.config.get("trainer") or {}
    # The figures before a run's end are the same for any length.
    kept = {key: trainer.get(key) for key in TRAINER_KEYS if not key.startswith(("max_", "min_"))}
    callbacks = learning_callbacks(trainer)
    content = {"model": config.get("model"), "data": config.get("data"), "trainer": kept, "callbacks": callbacks}
    plain = without_places(content, {folder: key for key, folder in (run.done.get("upstream") or {}).items()})
    return tuple(sorted(dict(_flat(plain)).items())) + _of_pretraining(run)


def _of_pretraining(run: RunData) -> tuple[tuple[str, str], ...]:
    """Settings of the pre-training that a run was built on, and of the oracle's tuning behind it."""
    found: list[tuple[str, str]] = []
    for key in ("pretrained", "oracle"):
        if (above := run.upstream.get(key)) is not None:
            known = _settings(above) if above.config else (("run", above.name),)
            found += [(f"{key}.{name}", value) for name, value in known]
    return tuple(found)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Leaves with their dotted keys, `class_path` and `init_args` left out of the path; nothing for what is not set."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in NOT_LEARNT:
                yield from _flat(item, path if key in ("class_path", "init_args") else f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}")
    elif value is not None:
        yield path, str(value)
