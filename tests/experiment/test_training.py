import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from ialp.cli.main import main
from ialp.experiment.building import LAUNCHER, child_environment
from ialp.experiment.stages import Stage
from ialp.runs.folder import read_crash, read_done
from ialp.runs.lock import locked

Fit = Callable[..., int]
FolderOf = Callable[[str], Path]


def done(folder: Path) -> dict:
    return json.loads((folder / "done.json").read_text())


def test_fit_builds_missing_stages_in_order(fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture) -> None:
    assert fit("policy", "--seed_everything", "3") == 0
    said = capfd.readouterr().out.splitlines()
    world, judge, policy = map(folder_of, ("world", "judge", "policy"))
    assert said[0] == "data: built-in catalogue (60 tracks, 40 sessions)"
    assert said[1:4] == [
        f"stage 1 of 3: world -> {world}",
        f"stage 2 of 3: judge -> {judge}",
        f"stage 3 of 3: policy -> {policy}",
    ]
    assert [folder.name[:2] for folder in (world, judge, policy)] == ["0-", "3-", "3-"]  # the world keeps its seed
    assert done(policy)["upstream"] == {"world": str(world), "judge": str(judge)}
    assert done(judge)["upstream"] == {"world": str(world)}


def test_fit_on_a_cpu_is_deterministic_by_default(fit: Fit) -> None:
    for choice, expected in ((), True), (("--trainer.deterministic", "false"), False):
        torch.use_deterministic_algorithms(False)
        assert fit("world", "--seed_everything", str(7 + expected), *choice) == 0
        assert torch.are_deterministic_algorithms_enabled() is expected


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_fit_with_two_threads_gives_the_same_weights_twice(tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "configs" / "lfm_reward.yaml"
    command = [sys.executable, "-m", "ialp", "fit", "--config", str(config), "--trainer.max_epochs", "1"]
    environment = {key: value for key, value in os.environ.items() if key != "IALP_DATA"} | {"OMP_NUM_THREADS": "2"}
    written = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        subprocess.run(command, cwd=tmp_path / name, env=environment, check=True, capture_output=True)
        (weights,) = (tmp_path / name).glob("runs/lfm_reward/*/world/model.safetensors")
        written.add(weights.read_bytes())
    assert len(written) == 1


def test_fit_never_makes_a_finished_run_again(fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture) -> None:
    fit("judge")
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}
    capfd.readouterr()
    assert fit("judge") == 0
    assert f"already finished: {folder_of('judge')}" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")} == before


def test_fit_reuses_finished_stages(fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture) -> None:
    fit("judge")
    capfd.readouterr()
    fit("policy")
    said = capfd.readouterr().out
    assert f"stage 1 of 3: world (reused {folder_of('world')})" in said
    assert f"stage 2 of 3: judge (reused {folder_of('judge')})" in said


def test_fit_writes_done_json_with_what_a_reader_needs(fit: Fit, folder_of: FolderOf) -> None:
    fit("world")
    found = done(folder_of("world"))
    assert found["fingerprint"].startswith(folder_of("world").name.partition("-")[2])
    assert (found["stage"], found["seed"], found["results"]) == ("world", 0, {"width": 2})
    assert found["metrics"].keys() >= {"loss", "val"}
    assert found["versions"].keys() >= {"python", "torch", "lightning", "transformers", "ialp"}
    assert found["data"]["items"] == 60 and found["seconds"] >= 0
    assert found["config"]["trainer"]["max_epochs"] == 1


def test_fit_writes_config_metrics_and_checkpoint(fit: Fit, folder_of: FolderOf) -> None:
    fit("world")
    folder = folder_of("world")
    assert (folder / "metrics.csv").read_text().splitlines()[0].startswith("epoch,")
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 1


def test_fit_with_a_runs_own_config_is_the_same_run(
    fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture
) -> None:
    fit("policy", "--seed_everything", "5")
    assert main(["fit", "--config", str(folder_of("policy") / "config.yaml")]) == 0
    assert f"already finished: {folder_of('policy')}" in capfd.readouterr().out


def test_fit_takes_a_run_folder_as_upstream(fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture) -> None:
    fit("world")
    assert fit("judge", "--upstream.world", str(folder_of("world"))) == 0
    named = folder_of("judge")
    assert fit("judge") == 0  # the same run, however its input is named
    assert folder_of("judge") == named


def test_fit_gives_the_same_metrics_with_the_same_seed(fit: Fit, folder_of: FolderOf) -> None:
    fit("world")
    fit("world", "--runs_dir", "elsewhere")
    [other] = Path("elsewhere/world").glob("0-*")
    assert done(other)["metrics"] == done(folder_of("world"))["metrics"]


def test_fit_with_missing_fail_names_the_missing(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    assert fit("policy", "--missing", "fail") == 2
    assert "missing stages: world, judge" in capfd.readouterr().err
    assert not Path("runs").exists()


def test_fit_builds_nothing_that_is_not_referred_to(fit: Fit) -> None:
    assert fit("policy", "--model.init_args.base", "null") == 0
    assert not Path("runs/judge").exists() and Path("runs/world").exists()


def test_fit_does_not_build_an_upstream_set_to_null(fit: Fit) -> None:
    assert fit("policy", "--upstream.judge", "null") == 0
    assert not Path("runs/judge").exists()


def test_fit_hands_log_and_judge_down(fit: Fit, folder_of: FolderOf) -> None:
    log = '{"class_path": "BuiltinLog", "init_args": {"num_tracks": 70, "num_sessions": 40}}'
    assert fit("policy", f"--log={log}", "--judge=LexicalOracle", "--judge.init_args.scale=7") == 0
    below = done(folder_of("world"))
    assert below["data"]["items"] == 70
    assert below["config"]["judge"]["init_args"]["scale"] == 7


def test_fit_leaves_nothing_behind_a_user_error(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    assert fit("world", "--model.init_args.fail", "user") == 2
    assert capfd.readouterr().err == "ialp: error: toy: mend me\n"
    assert not [path for path in Path("runs").rglob("*") if not path.name.endswith(".lock") and path.name != "world"]


def test_fit_keeps_what_is_trained_after_a_user_error(fit: Fit, folder_of: FolderOf) -> None:
    """A spent budget or a lost server may come after hours."""
    resume = '[{"class_path": "ialp.experiment.resume.ResumeCheckpoint", "init_args": {"every_n_steps": 1}}]'
    spent = ("--model.init_args.fail", "spent", "--trainer.max_epochs", "2", f"--trainer.callbacks={resume}")
    assert fit("world", *spent) == 2
    assert list(folder_of("world").glob("checkpoints/*.ckpt"))
    assert not (folder_of("world") / "done.json").exists()


def test_fit_ends_with_the_code_of_a_failed_stage(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    Path("configs/world.yaml").write_text(Path("configs/world.yaml").read_text() + "\n")
    assert fit("judge", "--upstream.world", _failing("user")) == 2
    assert capfd.readouterr().err == "ialp: error: toy: mend me\n"
    assert not Path("runs/judge").exists()


def test_fit_names_the_place_of_a_bug(fit: Fit, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit("world", "--model.init_args.fail", "bug") == 1
    said = capfd.readouterr().err
    assert "RuntimeError: boom" in said and "toy.py:" in said and said.count("\n") == 1
    monkeypatch.setenv("IALP_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        fit("world", "--model.init_args.fail", "bug")


def test_fit_writes_crash_txt_after_an_error(fit: Fit, folder_of: FolderOf) -> None:
    fit("world", "--model.init_args.fail", "bug")
    assert read_crash(folder_of("world")) == "RuntimeError: boom"
    assert read_done(folder_of("world")) is None


@pytest.mark.parametrize("arguments", [["--resume", "false"], []])
def test_fit_sets_aside_what_it_does_not_go_on_with(fit: Fit, folder_of: FolderOf, arguments: list[str]) -> None:
    fit("world")
    folder = folder_of("world")
    (folder / "done.json").unlink()
    (folder / "leftover").touch()
    if not arguments:  # nothing to go on from
        (folder / "checkpoints" / "last.ckpt").unlink()
    assert fit("world", *arguments) == 0
    assert (folder / "done.json").is_file() and not (folder / "leftover").exists()
    assert Path(f"{folder}.unfinished-1", "leftover").exists()


def test_fit_interrupted_is_not_done(fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        assert fit("world", "--model.init_args.fail", "interrupt") == 130
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores it from the first Ctrl-C on
    assert "nothing half-finished is marked done" in capfd.readouterr().err
    assert not (folder_of("world") / "done.json").exists()
    assert read_crash(folder_of("world")) is None  # no error ended it


def test_fit_evaluates_a_model_that_does_not_train(fit: Fit, folder_of: FolderOf) -> None:
    assert fit("world", "--model.init_args.trains", "false") == 0
    assert done(folder_of("world"))["metrics"].keys() == {"val"}


def test_fit_logs_to_wandb_offline_beside_metrics_csv(
    fit: Fit, folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="the wandb extra is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overlay = Path(__file__).parents[2] / "configs" / "loggers" / "wandb.yaml"
    assert fit("world", "--config", str(overlay)) == 0
    wandb.finish()
    assert list(Path("runs/wandb").glob("offline-run-*/*.wandb"))
    assert (folder_of("world") / "metrics.csv").is_file()


def test_fit_with_another_logger_is_the_same_run(fit: Fit, folder_of: FolderOf) -> None:
    fit("world")
    assert fit("world", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false") == 0
    assert folder_of("world")  # still the only one


def test_child_environment_hides_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR"]
    launcher += ["MASTER_PORT", "SLURM_JOB_ID", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"]
    for name in launcher:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("FRANK", "1")
    kept = child_environment(Stage("world", Path("runs/world/0-0"), "0"))
    assert not set(launcher) & set(kept)
    assert kept["FRANK"] == "1" and kept["IALP_STAGE"] == "world"
    assert LAUNCHER.match("SLURM_PROCID") and not LAUNCHER.match("PATH")


def test_locked_lets_one_process_at_a_time_make_a_run(tmp_path: Path) -> None:
    from filelock import FileLock, Timeout

    with locked(tmp_path / "runs" / "0-a"), pytest.raises(Timeout):
        FileLock(tmp_path / "runs" / ".0-a.lock").acquire(timeout=0)


def test_fit_builds_stages_in_processes_of_their_own(project: Path) -> None:
    ended = _ialp(project, "fit", "--config", "configs/judge.yaml")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(list((project / "runs").glob("*/*/done.json"))) == 2
    assert ended.stdout.count("data:") == 1  # the stage's process leaves that to the run


@pytest.mark.slow
@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_fit_ends_its_stage_at_a_signal(project: Path, name: str, code: int) -> None:
    command = [sys.executable, "-m", "ialp", "fit", "--config", "configs/judge.yaml"]
    run = subprocess.Popen(
        [*command, "--upstream.world", _failing("wait")],
        env=_environment(),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    try:
        while not (project / "waiting").exists():
            assert run.poll() is None
            time.sleep(0.1)
        run.send_signal(getattr(signal, name))
        assert run.wait(30) == code
    finally:
        with pytest.raises(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # nobody of its group is left
    assert not list((project / "runs").glob("*/*/done.json"))


def _failing(how: str) -> str:
    """A config like world.yaml that fails."""
    text = Path("configs/world.yaml").read_text().replace("Toy}", f"Toy, init_args: {{fail: {how}}}}}")
    Path("configs/failing.yaml").write_text(text)
    return "failing.yaml"


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def _ialp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ialp", *arguments]
    return subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=200)


def test_validate_and_test_take_the_runs_checkpoint_and_change_nothing(
    fit: Fit, folder_of: FolderOf, capfd: pytest.CaptureFixture
) -> None:
    fit("world")
    before = {path: path.read_bytes() for path in folder_of("world").rglob("*") if path.is_file()}
    for command, shown in (("validate", "val"), ("test", "tested")):
        assert main([command, "--config", "configs/world.yaml"]) == 0
        assert shown in capfd.readouterr().out
    assert {path: path.read_bytes() for path in before} == before


def test_test_refuses_a_run_that_is_not_finished(fit: Fit, capfd: pytest.CaptureFixture) -> None:
    assert main(["test", "--config", "configs/world.yaml"]) == 2
    assert "not finished" in capfd.readouterr().err
