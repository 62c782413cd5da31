from pathlib import Path

from ialp.experiment.stages import Stage, run_name


def test_run_name_is_that_of_its_first_config() -> None:
    config = {"model": {"class_path": "ialp.phases.OnlineAdapt"}}
    assert run_name([Path("configs/lfm_policyset.yaml"), Path("configs/loggers/wandb.yaml")], config) == "lfm_policyset"
    assert run_name([Path("runs/lfm_policyset/0-12ab34cd/config.yaml")], config) == "lfm_policyset"
    assert run_name([Path("mine/config.yaml")], config) == "config"
    assert run_name([], config) == "onlineadapt"


def test_lineage_names_each_run_once_inputs_first() -> None:
    world = Stage("world", Path("w"), "w")
    judge = Stage("judge", Path("j"), "j", upstream={"world": world})
    policy = Stage("policy", Path("p"), "p", upstream={"world": Stage("world", Path("w"), "w"), "judge": judge})
    assert [stage.name for stage in policy.lineage()] == ["world", "judge", "policy"]
