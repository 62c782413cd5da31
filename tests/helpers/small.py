"""The built-in policyset run, its four stages made small: some seconds each."""

from pathlib import Path
from typing import Any

import yaml

from ialp.experiment.composition import compose

REPOSITORY = Path(__file__).parents[2]
LOG = {"class_path": "ialp.data.BuiltinLog", "init_args": {"num_tracks": 80, "num_sessions": 120}}
STAGES = ("lfm_reward", "lfm_oracle", "lfm_pretrain", "lfm_policyset")
SETTINGS: dict[str, dict[str, Any]] = {
    "lfm_reward": {"trainer.max_epochs": 6, "data.init_args.batch_size": 16},
    "lfm_oracle": {
        "model.init_args.judge": {"class_path": "ialp.oracle.LexicalOracle"},
        "data.init_args.interactions": 64,
        "data.init_args.held_out": 20,
        "trainer.max_epochs": 4,
    },
    "lfm_pretrain": {
        "judge": {"class_path": "ialp.oracle.LexicalOracle"},
        "model.init_args.net.dim": 16,
        "data.init_args.users": 10,
        "data.init_args.batch_size": 32,
        "data.init_args.updates_per_step": 2,
        "data.init_args.oracle.budget": 4000,
        "trainer.max_epochs": 3,
    },
    "lfm_policyset": {
        "data.init_args.users": 10,
        "data.init_args.batch_size": 32,
        "data.init_args.updates_per_step": 3,
        "data.init_args.replay_capacity": 100,
        "data.init_args.test_users": 20,
        "model.init_args.scheme.init_args.alpha.init_args.steps": 400,
        "trainer.max_epochs": 3,
    },
}


def write_configs(folder: Path, **changes: dict[str, Any]) -> None:
    """The four configs, small, in `folder`; more changes by the name of the stage."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in STAGES:
        config = composed(REPOSITORY / "configs" / f"{name}.yaml")
        config["log"] = LOG
        callbacks = config["trainer"]["callbacks"] = config["trainer"].get("callbacks") or []
        resume = {"every_n_steps": 5, "every_minutes": 60.0}
        callbacks.append({"class_path": "ialp.experiment.resume.ResumeCheckpoint", "init_args": resume})
        config["trainer"]["log_every_n_steps"] = 1
        for key, value in {**SETTINGS[name], **changes.get(name, {})}.items():
            put(config, key, value)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


def composed(file: Path) -> dict[str, Any]:
    """A config with its `defaults`."""
    return yaml.safe_load(compose([f"--config={file}"]).arguments[0].removeprefix("--config="))


def put(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key."""
    *path, last = key.split(".")
    for part in path:
        config = config.setdefault(part, {})
    config[last] = value
