"""The scripts behind docs/architecture.md."""

from pathlib import Path

import pytest

from tools.counts import main as count
from tools.draw_floors import draw, imports, layers


def test_draw_floors_shows_every_package(tmp_path: Path) -> None:
    draw(tmp_path / "floors.svg")
    packages = {path.stem for path in Path("ialp").glob("[a-z]*") if path.is_dir() or path.suffix == ".py"}
    assert (tmp_path / "floors.svg").stat().st_size > 10_000
    assert {package for floor in layers() for package in floor} == packages
    height = {package: number for number, floor in enumerate(layers()) for package in floor}
    assert all(height[above] <= height[below] for above, below in imports() if above in height)


def test_counts_prints_the_lines_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    count(Path())
    assert "ialp/*.py: " in capsys.readouterr().out
