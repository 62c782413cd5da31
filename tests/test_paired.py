"""benchmarks/paired.py, run as its user runs it, on folders written by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "paired.py"


def _run(folder: Path, seed: int, adapted: list[float], frozen: float) -> None:
    folder.mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps({"seed": seed}))
    rows = [f"adapted,{epoch},{epoch * 1000},{value},5,1" for epoch, value in enumerate(adapted)]
    header = "policy,epoch,environment_steps,return,length,average_reward"
    (folder / "evaluation.csv").write_text("\n".join([header, *rows, f"frozen,0,0,{frozen},5,1"]) + "\n")


def _compare(runs: Path, *arguments: str) -> list[str]:
    call = [sys.executable, str(SCRIPT), *arguments, "--runs_dir", str(runs)]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def runs(tmp_path) -> Path:
    """Three seeds of A and two of B: seed 2 of B is missing."""
    for seed, gain in enumerate([1.0, 2.0, 9.0]):
        _run(tmp_path / "a" / f"{seed}-x", seed, [10.0, 10.0 + gain], frozen=10.0)
    for seed in range(2):
        _run(tmp_path / "b" / f"{seed}-x", seed, [4.0, 5.0], frozen=4.0)
    return tmp_path


def test_paired_leaves_out_seeds_without_a_partner(runs):
    first, end = _compare(runs, "a:adapted", "b:adapted", "--at", "0", "end")
    assert "at 0, 2 seeds" in first
    assert "difference +6.00 [+6.00, +6.00]  ratio 2.50  ahead in 2 of 2" in first
    assert "difference +6.50 [+6.00, +7.00]  ratio 2.30" in end


def test_paired_takes_the_frozen_policy_at_any_epoch(runs):
    (line,) = _compare(runs, "a:adapted", "a:frozen", "--at", "1")
    assert "difference +4.00" in line
    assert "ratio 1.40  ahead in 3 of 3" in line


def test_paired_says_where_seeds_are_too_few(runs):
    assert "0 common seeds" in _compare(runs, "a:adapted", "nothing:adapted", "--at", "0")[0]
