"""Fingerprint of a run: a hash of everything that changes what is learnt."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

TRAINER_KEYS = (
    "max_epochs",
    "min_epochs",
    "max_steps",
    "min_steps",
    "max_time",
    "limit_train_batches",
    "limit_val_batches",
    "overfit_batches",
    "check_val_every_n_epoch",
    "val_check_interval",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "precision",
    "fast_dev_run",
)
"""Keys of the trainer that change what is learnt; logger, progress bar, devices and strategy do not."""

PLACES = frozenset({"root", "cache", "cache_path", "cache_dir", "dirpath", "num_workers", "device", "devices"})
"""Keys that say where something lies or runs. The data under `root` counts by its own fingerprint."""

SHOWN_ONLY = (
    "ProgressBar",
    "PlainProgress",
    "ModelSummary",
    "DeviceStatsMonitor",
    "LearningRateMonitor",
    "ResumeCheckpoint",
)
"""Ends of the names of callbacks that only show or save. ModelCheckpoint is none of them: a stage may end with its best
weights."""


def fingerprint(config: Mapping[str, Any], seed: int, data: str | None, upstream: Mapping[str, str]) -> str:
    """SHA-256 (hex) of model, data, seed, length of training and inputs.

    Args:
        config: A stage's parsed config as plain dicts and lists.
        seed: The stage's seed.
        data: Fingerprint of the log, None for a stage without one.
        upstream: Folder of each input -> fingerprint of the run in it. The folder may stand anywhere in the config.
    """
    trainer = config.get("trainer") or {}
    content = {
        "model": without_places(config.get("model"), upstream),
        "data": without_places(config.get("data"), upstream),
        "trainer": {key: trainer.get(key) for key in TRAINER_KEYS},
        "callbacks": without_places(learning_callbacks(trainer), upstream),
        "seed": seed,
        "log": data,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def without_places(value: Any, upstream: Mapping[str, str]) -> Any:
    """A copy in which keys that name places are gone and the folder of an input is its fingerprint."""
    if isinstance(value, Mapping):
        return {key: without_places(item, upstream) for key, item in value.items() if key not in PLACES}
    if isinstance(value, list):
        return [without_places(item, upstream) for item in value]
    if isinstance(value, str) and value in upstream:
        return f"run {upstream[value]}"
    return value


def learning_callbacks(trainer: Mapping[str, Any]) -> list[Any]:
    """The callbacks of a trainer's config that can change what is learnt."""
    callbacks = trainer.get("callbacks") or []
    named = callbacks if isinstance(callbacks, list) else [callbacks]
    return [each for each in named if not str(each.get("class_path")).endswith(SHOWN_ONLY)]
