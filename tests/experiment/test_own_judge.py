"""A judge of one's own, from its file through all stages: `callbacks/loyal.py`, and that of docs/extending/judge.md."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ialp.cli.main import main
from ialp.experiment import building
from ialp.oracle import JudgementCache

ROOT = Path(__file__).parents[2]
COMMON = """\
seed_everything: 0
data_root: null
log: {class_path: ialp.data.BuiltinLog, init_args: {num_tracks: 60, num_sessions: 80}}
"""
TRAINER = "trainer: {max_epochs: 1, log_every_n_steps: 1, num_sanity_val_steps: 0, enable_progress_bar: false}\n"
CONFIGS = {
    "world": """\
fixed_seed: true
model: {class_path: ialp.phases.RewardModel, init_args: {test_users: 8}}
data: {class_path: ialp.datamodules.SessionDataModule, init_args: {log: "${log}"}}
""",
    "judge": """\
fixed_seed: true
judge: {class_path: ialp.oracle.LexicalOracle}
model: {class_path: ialp.phases.OracleTuning, init_args: {judge: "${judge}"}}
data:
  class_path: ialp.datamodules.PromptDataModule
  init_args: {log: "${log}", interactions: 20, validation: 5, calibration: 20, held_out: 12}
""",
    "pretrain": """\
upstream: {oracle: judge.yaml}
judge: {class_path: ialp.oracle.LexicalOracle}
model: {class_path: ialp.phases.IALPPretrain, init_args: {net: {dim: 16}}}
data:
  class_path: ialp.datamodules.OracleDataModule
  init_args:
    log: "${log}"
    oracle: {judge: "${judge}", adapter: "${upstream.oracle}", cache: judgements.sqlite}
    users: 6
    steps_per_epoch: 4
    batch_size: 8
""",
    "policy": """\
upstream: {reward_model: world.yaml, pretrained: pretrain.yaml}
model:
  class_path: ialp.phases.OnlineAdapt
  init_args: {scheme: {class_path: ialp.rl.schemes.PolicySet}, pretrained: "${upstream.pretrained}", net: {dim: 16}}
data:
  class_path: ialp.datamodules.ReplayDataModule
  init_args:
    {log: "${log}", reward_model: "${upstream.reward_model}", users: 6, steps_per_epoch: 4, batch_size: 8,
     test_users: 8}
""",
}

Fit = Callable[..., dict]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """`ialp fit`, stages included, in this process; returns done.json."""

    def build(stage: building.Stage) -> None:
        with pytest.MonkeyPatch.context() as child:
            child.setenv(building.CHILD, stage.name)
            assert main(["fit", *stage.arguments]) == 0

    def run(name: str, *arguments: str, runs: str = "runs") -> dict:
        assert main(["fit", f"--config=configs/{name}.yaml", f"--runs_dir={runs}", *arguments]) == 0
        return done(name, runs)

    write_configs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "build", build)
    return run


def write_configs(folder: Path) -> None:
    (folder / "configs").mkdir()
    for name, text in CONFIGS.items():
        (folder / "configs" / f"{name}.yaml").write_text(COMMON + text + TRAINER)


def done(name: str, runs: str = "runs") -> dict:
    [file] = Path(runs, name).glob("*/done.json")
    return json.loads(file.read_text())


LOYAL = ("--judge=callbacks.loyal.Loyal", "--judge.init_args.memory=0.5")


def test_own_judge_oracle_stage_fits_only_the_threshold(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    found = fit("judge", *LOYAL)
    said = capfd.readouterr()
    assert found["config"]["judge"]["init_args"] == {"memory": 0.5, "none": 0.1, "sharpness": 8.0}
    assert said.err == "" and "Oracle on 12 held-out questions" in said.out
    report, metrics = found["results"], found["metrics"]
    assert report["before"]["judge"] == "Loyal" and report["before"].items() <= report["after"].items()
    assert report["after"]["none_threshold"] == metrics["none_threshold"]
    assert metrics["none_right"] >= metrics["none_right_argmax"] > 0
    [folder] = Path("runs/judge").glob("0-????????")
    assert json.loads((folder / "oracle" / "oracle.json").read_text()) == {"judge": "Loyal"}
    header, line = (folder / "metrics.csv").read_text().splitlines()
    assert float(dict(zip(header.split(","), line.split(","), strict=True))["none_right"]) == metrics["none_right"]


def test_own_judge_stage_is_reused_and_an_argument_makes_another(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    fit("judge", *LOYAL)
    capfd.readouterr()
    fit("judge", *LOYAL)
    assert "already finished: runs/judge/0-" in capfd.readouterr().out
    assert main(["fit", "--config=configs/judge.yaml", *LOYAL, "--judge.init_args.memory=0.6"]) == 0
    assert len(list(Path("runs/judge").glob("*/done.json"))) == 2


def test_own_judge_second_pre_training_asks_nothing(fit: Fit) -> None:
    first = fit("pretrain", *LOYAL)
    assert first["results"]["judgements"] == {"asked": 24, "cache_hits": 0, "model": "Loyal"}
    second = fit("pretrain", *LOYAL, runs="elsewhere")
    assert second["results"]["judgements"] == {"asked": 0, "cache_hits": 24, "model": "Loyal"}
    assert second["metrics"] == first["metrics"]
    third = fit("pretrain", *LOYAL, "--judge.init_args.memory=0.6", runs="third")
    assert third["results"]["judgements"]["asked"] == 24  # another argument is another judge
    assert len(JudgementCache("judgements.sqlite")) == 48


def test_own_judge_picks_none_by_the_fitted_threshold(fit: Fit) -> None:
    fit("judge", *LOYAL)
    [fitted] = Path("runs/judge").glob("*/oracle/calibration.json")
    for threshold, none_rate in ((0.0, 1.0), (1.5, 0.0)):
        fitted.write_text(json.dumps(json.loads(fitted.read_text()) | {"threshold": threshold}))
        arguments = [
            *LOYAL,
            f"--upstream.oracle={fitted.parents[1]}",
            "--data.init_args.oracle.judging.none=calibrated",
        ]
        found = fit("pretrain", *arguments, runs=f"runs_{none_rate}")
        assert found["results"]["none_rate"] == none_rate


def test_own_judge_goes_through_all_stages(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    fit("policy", *LOYAL)
    said = capfd.readouterr().out
    assert "judgements: 24 asked of Loyal, 0 answered by the cache" in said
    assert done("judge")["results"]["after"]["judge"] == "Loyal"


def documented() -> str:
    """The Python block of docs/extending/judge.md."""
    page = (ROOT / "docs" / "extending" / "judge.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]


@pytest.mark.slow
def test_own_judge_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    write_configs(tmp_path)
    for folder, name, text in (
        ("callbacks", "wishlist.py", documented()),
        ("data", "words.txt", "Night\nred"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    judge = ["--judge", "callbacks.wishlist.Wishlist", "--judge.init_args.words", "data/words.txt"]
    command = [sys.executable, "-m", "ialp", "fit", "--config", "configs/pretrain.yaml", *judge]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stderr) == (0, "")
    [file] = (tmp_path / "runs" / "pretrain").glob("*/done.json")
    assert json.loads(file.read_text())["results"]["judgements"] == {"asked": 24, "cache_hits": 0, "model": "Wishlist"}
