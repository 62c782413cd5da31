from pathlib import Path

import pytest

from ialp.experiment.stages import Stage, config_files, run_name


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--config", "a.yaml", "--config=b.yaml"], ["a.yaml", "b.yaml"]),
        (["-c", "a.yaml", "--seed_everything", "3"], ["a.yaml"]),
        (["--trainer.max_epochs", "3"], []),
    ],
)
def test_config_files(arguments: list[str], files: list[str]) -> None:
    assert config_files(arguments) == [Path(file) for file in files]


def test_a_run_is_called_after_its_first_config() -> None:
    config = {"model": {"class_path": "ialp.phases.OnlineAdapt"}}
    assert run_name([Path("configs/lfm_policyset.yaml"), Path("configs/loggers/wandb.yaml")], config) == "lfm_policyset"
    assert run_name([Path("runs/lfm_policyset/0-12ab34cd/config.yaml")], config) == "lfm_policyset"
    assert run_name([Path("mine/config.yaml")], config) == "config"
    assert run_name([], config) == "onlineadapt"


def test_a_lineage_names_each_run_once_inputs_first() -> None:
    world = Stage("world", Path("w"), "w")
    judge = Stage("judge", Path("j"), "j", upstream={"world": world})
    policy = Stage("policy", Path("p"), "p", upstream={"world": Stage("world", Path("w"), "w"), "judge": judge})
    assert [stage.name for stage in policy.lineage()] == ["world", "judge", "policy"]
