"""`ialp world describe`: from a config or a run to its figures."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from ialp.cli.main import main
from ialp.diagnostics.world import finished_policies
from ialp.experiment import building
from ialp.runs.data import RunData

MODEL = "{class_path: ialp.phases.RewardModel, init_args: {lr: 0.01, test_users: 20}}"
WORLD = f"""\
seed_everything: 0
fixed_seed: true
data_root: null
log: {{class_path: ialp.data.BuiltinLog, init_args: {{num_tracks: 60, num_sessions: 80}}}}
model: {MODEL}
data: {{class_path: ialp.datamodules.SessionDataModule, init_args: {{log: "${{log}}"}}}}
trainer: {{max_epochs: 1, log_every_n_steps: 1, num_sanity_val_steps: 0}}
"""


@pytest.fixture
def built_stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that were built, in this process."""
    names: list[str] = []

    def build(stage: building.Stage) -> None:
        names.append(stage.name)
        with pytest.MonkeyPatch.context() as child:
            child.setenv(building.CHILD, stage.name)
            assert main(["fit", *stage.arguments]) == 0

    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr("ialp.diagnostics.world.build", build)
    return names


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose world is built."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("IALP_DATA", raising=False)
        Path("configs").mkdir()
        Path("configs/world.yaml").write_text(WORLD)
        assert main(["fit", "--config", "configs/world.yaml"]) == 0
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("IALP_DATA", raising=False)
    return tmp_path / "project"


def run_folder() -> Path:
    [folder] = Path("runs/world").glob("0-????????")
    return folder


def test_describe_does_not_build_a_finished_world_again(
    project: Path, built_stages: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert main(["world", "describe", "--config", "configs/world.yaml", "--users", "12"]) == 0
    said = capsys.readouterr().out
    assert built_stages == [] and "(reused runs/world/" in said
    for word in ("random", "most similar", "patience", "horizon", "before the intercept", "AUC"):
        assert word in said
    folder = run_folder()
    numbers = json.loads((folder / "describe" / "world.json").read_text())
    assert numbers["test_users"] == 12 and numbers["episodes_per_user"] == 1
    for policy in numbers["references"].values():
        assert sum(policy["episodes_of_length"]) == 12
        assert sum(policy["exit_causes"].values()) == pytest.approx(1)
    references = numbers["references"]
    assert numbers["popularity_share"] == references["popularity"]["return"] / references["greedy"]["return"]


def test_describe_builds_a_missing_world_first(project: Path, built_stages: list[str]) -> None:
    shutil.rmtree("runs")
    assert main(["world", "describe", "--config", "configs/world.yaml", "--users", "5", "--out", "here"]) == 0
    assert built_stages == ["world"] and Path("here/world.json").is_file()


def test_describe_plays_several_episodes_where_test_users_are_few(project: Path) -> None:
    assert main(["world", "describe", "--run", str(run_folder()), "--users", "20", "--out", "here"]) == 0
    numbers = json.loads(Path("here/world.json").read_text())
    assert (numbers["test_users"], numbers["episodes_per_user"]) == (16, 2)
    greedy = numbers["references"]["greedy"]["return"]
    assert greedy == pytest.approx(RunData(run_folder()).results["references"]["greedy"]["return"], rel=1e-5)


def evaluated(name: str, returned: float) -> Path:
    """A finished online run in the world."""
    folder = Path("runs", name)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    done = {"stage": "policy", "seed": 0, "fingerprint": "f", "upstream": {"reward_model": str(run_folder())}}
    (folder / "done.json").write_text(json.dumps(done))
    rows = ["policy,epoch,environment_steps,return,length,average_reward", "frozen,0,0,1.0,2.0,0.5"]
    rows += ["adapted,0,0,1.0,2.0,0.5", f"adapted,9,9000,{returned},5.0,{returned / 5}"]
    (folder / "evaluation.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_describe_warns_of_a_policy_that_reaches_the_best_reference(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    policy = evaluated("policy/3-aaaaaaaa", 99.0)
    assert (
        main(["world", "describe", "--run", str(policy), "--users", "16", "--out", "here"]) == 0
    )  # and finds its world
    said = capsys.readouterr().out
    assert "warning: policy/3-aaaaaaaa gets" in said
    numbers = json.loads(Path("here/world.json").read_text())
    assert numbers["policies"] == {"policy/3-aaaaaaaa": {"return": 99.0, "length": 5.0, "average_reward": 19.8}}
    assert any("policy/3-aaaaaaaa" in warning for warning in numbers["warnings"])


def test_finished_policies_are_of_this_world(project: Path) -> None:
    evaluated("policy/0-aa", 3.0)
    evaluated("policy/1-bb", 4.0)
    (evaluated("policy/2-cc", 5.0) / "done.json").unlink()
    elsewhere = Path("runs/other/0-dd")
    shutil.copytree(run_folder(), elsewhere)
    done = json.loads(Path("runs/policy/0-aa/done.json").read_text())
    Path("runs/policy/0-aa/done.json").write_text(json.dumps(done | {"upstream": {"reward_model": str(elsewhere)}}))
    assert list(finished_policies(Path("runs"), run_folder())) == ["policy/1-bb"]


def test_finished_policies_count_what_evaluate_wrote(project: Path) -> None:
    folder = evaluated("pretrain/0-aa", 3.0)
    (folder / "evaluation.csv").unlink()
    episodes = pl.DataFrame({"return": [1.0, 5.0], "length": [2, 4]})
    episodes.write_parquet(folder / f"episodes-world-{run_folder().name}.parquet")
    found = finished_policies(Path("runs"), run_folder())
    assert found == {"pretrain/0-aa": {"return": 3.0, "length": 3.0, "average_reward": 1.0}}


def test_describe_refuses_a_config_that_is_no_reward_model(project: Path, capsys: pytest.CaptureFixture) -> None:
    text = WORLD.replace(MODEL, "{class_path: tests.helpers.toy.Toy}")
    Path("configs/toy.yaml").write_text(text)
    assert main(["world", "describe", "--config", "configs/toy.yaml"]) == 2
    assert "toy: neither a reward model nor built on one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required"),
        (["describe"], "name the world by --config"),
        (["describe", "--config", "a", "--run", "b"], "name the world by --config"),
        (["describe", "--run", "nowhere"], "nowhere: no finished run"),
        (["describe", "--run", "nowhere", "--usres", "4"], "unrecognized arguments: --usres 4"),
        (["describe", "--config", "nowhere.yaml"], "no config nowhere.yaml"),
        (["describe", "--run", "RUN", "--users", "0"], "--users is 0"),
        (["describe", "--run", "RUN", "--data_root", "x"], "does not come from a folder"),
    ],
)
def test_describe_refuses_in_one_line(
    project: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    arguments = [str(run_folder()) if each == "RUN" else each for each in arguments]
    assert main(["world", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_describe_names_data_that_is_missing_elsewhere(project: Path, capsys: pytest.CaptureFixture) -> None:
    """The run's config names a folder; --data_root names another, and what is missing there is named."""
    folder = run_folder()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    log = {"class_path": "ialp.data.readers.AtomicLog", "init_args": {"name": "mine", "root": "old"}}
    config["data"]["init_args"]["log"] = log
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["world", "describe", "--run", str(folder), "--data_root", "new"]) == 2
    assert "new/mine" in capsys.readouterr().err
