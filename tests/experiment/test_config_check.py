from collections.abc import Callable
from pathlib import Path

import pytest

from ialp.cli.main import main

Check = Callable[..., str]


@pytest.fixture
def complaint(project: Path, capfd: pytest.CaptureFixture) -> Check:
    """What `ialp fit` says to judge.yaml with one text replaced by another; it starts nothing."""

    def run(old: str = "", new: str = "", *arguments: str) -> str:
        path = project / "configs" / "judge.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        assert main(["fit", "--config", "configs/judge.yaml", *arguments]) == 2
        assert not Path("runs").exists()
        said = capfd.readouterr()
        assert said.err.count("\n") == 1
        return said.err.removeprefix("ialp: error: ").rstrip()

    return run


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trainer:", "trianer:", 'configs/judge.yaml:5: no key "trianer"; did you mean trainer?'),
        ("max_epochs", "max_epoch", 'configs/judge.yaml:5: trainer has no "max_epoch"; did you mean max_epochs?'),
        ("toy.Toy,", "toy.Toi,", "configs/judge.yaml:6: model: no class tests.helpers.toy.Toi"),
        (
            "data.BuiltinLog",
            "data.BuiltinLgo",
            "3: log: no class ialp.data.BuiltinLgo; did you mean ialp.data.BuiltinLog?",
        ),
        ("ialp.data.BuiltinLog", "BuiltinLgo", "3: log: no class BuiltinLgo; did you mean ialp.data.BuiltinLog?"),
        (
            "num_tracks",
            "num_track",
            'configs/judge.yaml:3: log: BuiltinLog has no "num_track"; did you mean num_tracks?',
        ),
        ("tests.helpers.toy.Toy,", "callbacks.nowhere.Toy,", "6: model: no class callbacks.nowhere.Toy"),
        ("base:", "bass:", 'configs/judge.yaml:6: model: Toy has no "bass"; did you mean base?'),
        (
            "${upstream.world}",
            "${upstream.wrold}",
            '6: ${upstream.wrold}: upstream has no "wrold"; did you mean world?',
        ),
        ("${log}", "${logs}", 'configs/judge.yaml:4: ${logs}: no key "logs"; did you mean log?'),
        ("world.yaml", "wrold.yaml", "upstream.world: neither a config nor a run folder: configs/wrold.yaml"),
        ("{max_epochs", "[max_epochs", "configs/judge.yaml:5: not YAML: "),
        ("max_epochs: 1", "max_epochs: one", "configs/judge.yaml:5: trainer.max_epochs: "),
        ("world.yaml", "judge.yaml", "upstream.world: configs/judge.yaml builds on itself"),
    ],
)
def test_config_check_names_file_and_line_of_a_slip(complaint: Check, old: str, new: str, said: str) -> None:
    assert said in complaint(old, new)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--model.init_args.bass=x", 'command line: model: Toy has no "bass"; did you mean base?'),
        ("--trainer.max_epoch=3", 'command line: trainer has no "max_epoch"; did you mean max_epochs?'),
        ("--trianer.max_epochs=3", 'command line: no key "trianer"; did you mean trainer?'),
        ("--model.init_args.width=x", "command line: model.width: Expected a <class 'int'>. Got value: x"),
        ("--model=tests.helpers.toy.Toi", "model: no class tests.helpers.toy.Toi"),
        ("--log=BuiltinLgo", "log: no class BuiltinLgo; did you mean ialp.data.BuiltinLog?"),
        ("--missing=maybe", "maybe"),
        ("--seed_everything=false", "seed_everything: a run needs a number"),
        ("--data_root=/nowhere", "no lfm.inter at /nowhere/lfm/lfm.inter"),
        ("--upstream.world=configs", "upstream.world: configs is no finished run"),
        ("--config=configs/wolrd.yaml", "no config configs/wolrd.yaml; did you mean configs/world.yaml?"),
    ],
)
def test_config_check_names_a_slip_on_the_command_line(complaint: Check, argument: str, said: str) -> None:
    log = '{"class_path": "AtomicLog", "init_args": {"name": "lfm", "root": "/nowhere"}}'
    assert said in complaint("", "", argument, *([f"--log={log}"] if "data_root" in argument else []))


def test_config_check_names_a_module_that_cannot_be_imported(complaint: Check, project: Path) -> None:
    (project / "broken_one.py").write_text("import nowhere_to_be_found\n")
    said = complaint("tests.helpers.toy.Toy,", "broken_one.Toy,")
    assert "configs/judge.yaml:6" in said and "nowhere_to_be_found" in said


def test_config_check_names_an_environment_variable_without_a_value(complaint: Check) -> None:
    assert "NOT_SET_ANYWHERE" in complaint("${oc.env:IALP_DATA,null}", "${oc.env:NOT_SET_ANYWHERE}")


def test_missing_config_points_to_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "configs/lfm_policyset.yaml"]) == 2
    assert "no config configs/lfm_policyset.yaml (`ialp init .` lays down the configs)" in capfd.readouterr().err
