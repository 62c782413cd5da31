from collections.abc import Callable
from pathlib import Path

import pytest

from ialp.experiment.trainer_parts import PlainProgress


def test_plain_progress_prints_lines_without_a_terminal(
    fit: Callable[..., int], capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainProgress.__init__, "__defaults__", (0.0, ""))
    fit("world", "--trainer.max_epochs", "2")
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("  world:")]
    assert [line.split(" (")[0] for line in lines] == [
        f"  world: epoch {epoch} of 2, batch {batch} of 2" for epoch in (1, 2) for batch in (1, 2)
    ]


def test_plain_progress_prints_no_line_before_its_time(
    fit: Callable[..., int], project: Path, capfd: pytest.CaptureFixture
) -> None:
    fit("world")
    assert "  world:" not in capfd.readouterr().out
