import subprocess
import sys
import time
from pathlib import Path

import pytest

import ialp
from ialp.cli.main import OTHER_VERBS, TRAINER_VERBS, main


def test_help_lists_every_verb(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"ialp {verb} " in said for verb in TRAINER_VERBS | OTHER_VERBS)
    assert main([]) == 0 and capsys.readouterr().out == said


def test_help_answers_at_once() -> None:
    code = "import sys, ialp.cli.main as cli; cli.main(['--help']); assert not {'torch', 'lightning'} & {*sys.modules}"
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True, stdout=subprocess.DEVNULL)
    assert time.monotonic() - start < 5  # a tenth of a second; a machine that is busy takes longer


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ialp {ialp.__version__}\n"


def test_an_unknown_verb_gets_its_near_match(capsys: pytest.CaptureFixture) -> None:
    assert main(["ftt"]) == 2
    assert capsys.readouterr().err == 'ialp: error: no verb "ftt"; did you mean fit?\n'


@pytest.mark.parametrize("verb", ["data", "runs", "oracle", "world", "init", "evaluate"])
def test_a_missing_argument_gets_one_line(verb: str, capsys: pytest.CaptureFixture) -> None:
    assert main([verb]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ialp: error: the following arguments are required:") and said.count("\n") == 1


def test_the_help_of_a_class_explains_its_arguments(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", "--model.help", "OnlineAdapt"]) == 0
    said = capsys.readouterr().out
    assert "--model.scheme" in said and "ialp.rl.schemes.PolicySet" in said
    assert "which policy acts and which one learns" in said


def test_the_help_of_a_nested_class(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", "--model.help", "ialp.phases.OnlineAdapt"]) == 0
    assert "ialp.rl.EpsilonGreedy" in capsys.readouterr().out
