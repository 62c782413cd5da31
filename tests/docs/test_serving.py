"""docs/serving.md: its commands and its two examples, run as they stand on a run that `ialp fit` has made."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ialp.cli.main import main
from tests.docs.test_extending import arguments

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
RUN = "runs/lfm_scratch_a2c/0-1a2b3c4d"
LOG = """\
seed_everything: 0
log: {class_path: ialp.data.BuiltinLog, init_args: {num_tracks: 60, num_sessions: 80}}
trainer: {max_epochs: 1, log_every_n_steps: 1, num_sanity_val_steps: 0, enable_progress_bar: false}
"""
REWARD = f"""\
{LOG}
model: {{class_path: ialp.phases.RewardModel, init_args: {{test_users: 8}}}}
data: {{class_path: ialp.datamodules.SessionDataModule, init_args: {{log: "${{log}}"}}}}
"""
ONLINE = f"""\
{LOG}
model:
  class_path: ialp.phases.OnlineAdapt
  init_args: {{net: {{dim: 16}}, scheme: {{class_path: ialp.rl.schemes.Scratch}}}}
data:
  class_path: ialp.datamodules.ReplayDataModule
  init_args:
    {{log: "${{log}}", reward_model: REWARD_RUN, users: 6, steps_per_epoch: 4, batch_size: 8, test_users: 8}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a small run of the page's name is finished."""
    folder = tmp_path_factory.mktemp("serving")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "lfm_reward.yaml").write_text(REWARD)
        assert main(["fit", "--config", "lfm_reward.yaml"]) == 0
        [reward] = Path("runs/lfm_reward").glob("0-*")
        (folder / "lfm_scratch_a2c.yaml").write_text(ONLINE.replace("REWARD_RUN", str(reward)))
        assert main(["fit", "--config", "lfm_scratch_a2c.yaml"]) == 0
        yield folder


def commands(command: str) -> list[str]:
    return re.findall(rf"^    ialp ({command} --ckpt {RUN}.*)$", PAGE, re.MULTILINE)


def run(command: str) -> int:
    return main(arguments(command.replace(RUN, RUN[:-8] + "…")))


def example(library: str) -> str:
    [code] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if library in code]
    return code


def test_serving_recommend_runs_as_documented(project: Path, capsys: pytest.CaptureFixture) -> None:
    for command in commands("recommend"):
        assert run(command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11  # a header and ten items


@pytest.mark.parametrize(
    ("format", "library"),
    [("torch_export", "torch.export.load"), pytest.param("onnx", "onnxruntime", marks=pytest.mark.slow)],
)
def test_serving_example_gives_what_recommend_gives(project, format, library, capsys) -> None:
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'ialp[onnx]'")
        pytest.importorskip("onnxscript", reason="onnx is not installed: pip install 'ialp[onnx]'")
    [command] = [each for each in commands("export") if f"--format {format}" in each]
    assert run(command) == 0
    assert run(commands("recommend")[0]) == 0
    ids = [line.split()[2] for line in capsys.readouterr().out.splitlines()[-10:]]
    exec(compile(example(library), "docs/serving.md", "exec"), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ids[:3]
    assert example(library).count("\n") <= 14


def test_serving_in_python_recommends_what_the_command_does(project: Path, capsys: pytest.CaptureFixture) -> None:
    [folder] = Path("runs/lfm_scratch_a2c").glob("0-*")
    found: dict = {}
    exec(compile(example("open_finished").replace(RUN, str(folder)), "docs/serving.md", "exec"), found)
    capsys.readouterr()
    assert run(commands("recommend")[0]) == 0
    assert [row["id"] for row in found["rows"]] == [
        line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]
    ]
