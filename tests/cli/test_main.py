import subprocess
import sys
import time
from pathlib import Path

import pytest

import ialp
from ialp.cli.main import COMMANDS, main


def test_main_help_lists_every_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"ialp {name} " in printed for name in COMMANDS)
    assert main([]) == 0 and capsys.readouterr().out == printed


def test_main_help_imports_nothing_heavy() -> None:
    code = "import sys, ialp.cli.main as cli; cli.main(['--help']); assert not {'torch', 'lightning'} & {*sys.modules}"
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, stdout=subprocess.DEVNULL)
    assert time.monotonic() - start < 5  # a tenth of a second; a machine that is busy takes longer


def test_main_prints_the_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ialp {ialp.__version__}\n"


def test_main_names_the_nearest_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["ftt"]) == 2
    assert capsys.readouterr().err == 'ialp: error: no command "ftt"; did you mean fit?\n'


@pytest.mark.parametrize(
    "command", ["data", "evaluate", "export", "init", "oracle", "recommend", "report", "runs", "world"]
)
def test_main_command_without_arguments_gets_one_line(command: str, capsys: pytest.CaptureFixture) -> None:
    assert main([command]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("ialp: error: the following arguments are required:") and printed.count("\n") == 1


def test_fit_class_help_explains_arguments(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", "--model.help", "OnlineAdapt"]) == 0
    printed = capsys.readouterr().out
    assert "--model.scheme" in printed and "ialp.rl.schemes.PolicySet" in printed
    assert "which policy acts and which one learns" in printed


def test_fit_class_help_takes_a_whole_path(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", "--model.help", "ialp.phases.OnlineAdapt"]) == 0
    assert "ialp.rl.EpsilonGreedy" in capsys.readouterr().out
