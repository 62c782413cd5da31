"""`ialp oracle report`, from a config to its figures."""

import json
from pathlib import Path

import pytest

from ialp.cli.main import main
from ialp.experiment import building

CONFIG = """\
seed_everything: 0
fixed_seed: true
data_root: null
log: {class_path: ialp.data.BuiltinLog, init_args: {num_tracks: 80, num_sessions: 120}}
judge: {class_path: ialp.oracle.LexicalOracle}
model: {class_path: ialp.phases.OracleTuning, init_args: {judge: "${judge}", lr: 0.001}}
data: {class_path: ialp.datamodules.PromptDataModule, init_args: {log: "${log}", interactions: 60, validation: 10}}
trainer: {max_epochs: 1, log_every_n_steps: 1, num_sanity_val_steps: 0}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IALP_DATA", raising=False)
    Path("configs").mkdir()
    Path("configs/judge_oracle.yaml").write_text(CONFIG)

    def build(stage: building.Stage) -> None:
        with pytest.MonkeyPatch.context() as child:
            child.setenv(building.CHILD, stage.name)
            assert main(["fit", *stage.arguments]) == 0

    monkeypatch.setattr(building, "build", build)
    return tmp_path


def report(*arguments: str) -> int:
    return main(["oracle", "report", "--config", "configs/judge_oracle.yaml", "--questions", "20", *arguments])


def test_oracle_report_builds_a_config_and_asks_once(project, capsys):
    assert report("--out", "first") == 0
    said = capsys.readouterr().out
    assert "true item" in said and "word overlap" in said and "how often each label wins" in said
    first = json.loads(Path("first/oracle.json").read_text())
    assert first["questions"] == 20 and first["candidates"] == 10 and first["chance"] == 0.1
    assert first["judge"]["cost"]["asked"] == 100 and Path("first/oracle.png").stat().st_size > 10_000
    assert first["judge"]["picked"] == first["floor"]["picked"]  # the judge is word overlap itself
    assert report("--out", "again") == 0
    again = json.loads(Path("again/oracle.json").read_text())
    assert again["judge"]["cost"]["asked"] == 0 and again["judge"]["cost"]["judgements_per_second"] is None
    for side in ("judge", "floor"):
        first[side]["cost"] = again[side]["cost"] = None
    assert first == again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the judge by --config"),
        (["--run", "nowhere"], "no finished run"),
        (["--config", "configs/judge_oracle.yaml", "--questions", "0"], "--questions is 0"),
        (["--run", "x", "--lr", "3"], "unrecognized arguments: --lr 3"),
    ],
)
def test_oracle_report_refuses_in_one_line(project, capsys, arguments, message):
    assert main(["oracle", "report", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and len(said.splitlines()) == 1


def test_oracle_report_goes_on_after_a_budget_stopped_it(project, capsys):
    assert report("--budget", "30") == 2
    assert "budget of 30" in capsys.readouterr().err
    assert report() == 0
    assert "asked 70, cached 30" in capsys.readouterr().out
