import json
from pathlib import Path
from typing import Any

import pytest

from ialp.cli.main import main


def make(name: str, done: dict[str, Any] | None = None, **config: Any) -> str:
    """A run folder below runs/."""
    folder = Path("runs", name)
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    if done is not None:
        known = {"stage": folder.parent.name, "seed": 0, "fingerprint": "f", "seconds": 1.0, "config": config}
        (folder / "done.json").write_text(json.dumps(known | done))
    return str(folder)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def figures(start: float, end: float) -> dict[str, Any]:
    return {"results": {"evaluation": {"adapted": {"0": {"return": start}, "end": {"return": end}}, "frozen": None}}}


def test_runs_list_shows_figures_and_what_is_unfinished(capsys: pytest.CaptureFixture) -> None:
    make("policy/0-aa", figures(3.25, 17.5) | {"data": {"name": "lfm"}})
    make("policy/1-bb")
    kept = Path(make("policy/2-cc"), "checkpoints")
    kept.mkdir()
    (kept / "step-000001500.ckpt").touch()
    assert main(["runs", "list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[3].split(maxsplit=1)[1].strip() == "unfinished, at update 1,500"
    assert said[1].split() == ["runs/policy/0-aa", "1", "lfm", "3.25", "17.5"]
    assert said[2].split() == ["runs/policy/1-bb", "unfinished"]


def test_runs_list_of_one_config_and_of_nothing(capsys: pytest.CaptureFixture) -> None:
    make("policy/0-aa", {})
    make("world/0-cc", {})
    main(["runs", "list", "world"])
    assert "policy" not in capsys.readouterr().out
    assert main(["runs", "list", "--runs_dir", "nowhere"]) == 0
    assert capsys.readouterr().out == "no runs in nowhere\n"


def test_runs_compare_shows_what_differs(capsys: pytest.CaptureFixture) -> None:
    first = make("policy/0-aa", figures(3, 17), model={"lr": 0.1, "width": 2})
    second = make("policy/0-bb", figures(3, 19), model={"lr": 0.2, "width": 2})
    assert main(["runs", "compare", first, second]) == 0
    said = capsys.readouterr().out
    assert "model.lr" in said and "model.width" not in said
    assert "evaluation.adapted.end.return" in said and "19" in said


def test_runs_compare_wants_two_finished_runs(capsys: pytest.CaptureFixture) -> None:
    finished, unfinished = make("policy/0-aa", {}), make("policy/0-bb")
    assert main(["runs", "compare", finished]) == 2
    assert main(["runs", "compare", finished, unfinished]) == 2
    assert main(["runs", "compare", finished, "nowhere"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "two run folders" in said[0] and "not finished" in said[1] and "nowhere: no run folder" in said[2]


def test_runs_remove_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make("policy/0-aa", {})
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["runs", "remove", run]) == 0
    assert Path(run).exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(["runs", "remove", run]) == 0
    assert not Path(run).exists()


def test_runs_remove_needs_yes_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = make("policy/0-aa", {})

    def no_terminal(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", no_terminal)
    assert main(["runs", "remove", run]) == 2
    assert "say --yes" in capsys.readouterr().err and Path(run).exists()


def test_runs_remove_keeps_what_another_was_built_on(capsys: pytest.CaptureFixture) -> None:
    world = make("world/0-cc", {})
    policy = make("policy/0-aa", {"upstream": {"reward_model": world}})
    assert main(["runs", "remove", world, "--yes"]) == 2
    assert f"{policy} was built on it" in capsys.readouterr().err and Path(world).exists()


def test_runs_remove_takes_a_run_with_what_was_built_on_it() -> None:
    world = make("world/0-cc", {})
    policy = make("policy/0-aa", {"upstream": {"reward_model": world}})
    assert main(["runs", "remove", world, policy, "--yes"]) == 0
    assert not Path(world).exists() and not Path(policy).exists()


def test_runs_remove_touches_nothing_that_is_no_run(capsys: pytest.CaptureFixture) -> None:
    Path("precious").mkdir()
    assert main(["runs", "remove", "precious", "--yes"]) == 2
    assert Path("precious").exists()


def test_runs_list_names_a_broken_done_json(capsys: pytest.CaptureFixture) -> None:
    run = make("policy/0-aa", {})
    Path(run, "done.json").write_text("{")
    assert main(["runs", "list"]) == 2
    assert "done.json: not what a finished run writes" in capsys.readouterr().err
