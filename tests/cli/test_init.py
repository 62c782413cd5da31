from pathlib import Path

import pytest

from ialp.cli.init import source
from ialp.cli.main import main


def test_init_lays_down_configs_and_callbacks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mine = tmp_path / "mine"
    assert main(["init", str(mine)]) == 0
    laid = {str(path.relative_to(mine)) for path in mine.rglob("*") if path.is_file()}
    laid_out = [path for end in ("*.yaml", "*.sbatch") for path in source("configs").rglob(end)]
    configs = {f"configs/{path.relative_to(source('configs'))}" for path in laid_out}
    callbacks = {f"callbacks/{path.name}" for path in source("callbacks").glob("*.py")}
    assert callbacks and laid == configs | callbacks
    assert "ialp fit --config configs/lfm_policyset.yaml" in capsys.readouterr().out


@pytest.mark.parametrize("taken", ["configs", "callbacks"])
def test_init_overwrites_nothing(tmp_path: Path, taken: str, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / taken).mkdir()
    assert main(["init", str(tmp_path)]) == 2
    assert taken in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_wheel_has_every_package() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    named = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(root).parts) for path in (root / "ialp").rglob("*.py")}
    assert found | {"ialp._project.configs", "ialp._project.callbacks"} == set(named)
