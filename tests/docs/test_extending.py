"""The pages of docs/extending/: their files, laid down as they stand, and their commands, run as they stand.

The configs that the commands name are small ones of the same names, in a project of their own.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ialp.cli.main import main
from ialp.data.builtin import generate_sessions, generate_tracks
from ialp.experiment import building

PAGES = sorted(
    path for path in (Path(__file__).parents[2] / "docs" / "extending").glob("*.md") if path.stem != "README"
)
FILE = re.compile(r"`((?:callbacks|configs)/[\w.]+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMON = """\
seed_everything: 0
log: {class_path: ialp.data.BuiltinLog, init_args: {num_tracks: 60, num_sessions: 80}}
trainer: {max_epochs: 1, log_every_n_steps: 1, num_sanity_val_steps: 0, enable_progress_bar: false}
"""
ONLINE = """\
upstream: {reward_model: lfm_reward.yaml, pretrained: lfm_pretrain.yaml}
model:
  class_path: ialp.phases.OnlineAdapt
  init_args: {scheme: {class_path: ialp.rl.schemes.SCHEME}, pretrained: "${upstream.pretrained}"}
data:
  class_path: ialp.datamodules.ReplayDataModule
  init_args:
    {log: "${log}", reward_model: "${upstream.reward_model}", users: 6, steps_per_epoch: 4, batch_size: 8,
     test_users: 8}
"""
EPISODES = """\
upstream: {reward_model: lfm_reward.yaml, pretrained: lfm_pretrain.yaml}
model:
  class_path: ialp.phases.OnlineEpisodes
  init_args: {scheme: {class_path: ialp.rl.schemes.SCHEME}, pretrained: "${upstream.pretrained}"}
data:
  class_path: ialp.datamodules.OnPolicyDataModule
  init_args:
    {log: "${log}", reward_model: "${upstream.reward_model}", users: 6, rollouts_per_epoch: 2, test_users: 8}
"""
CONFIGS = {
    "lfm_reward": """\
fixed_seed: true
model: {class_path: ialp.phases.RewardModel, init_args: {test_users: 8}}
data: {class_path: ialp.datamodules.SessionDataModule, init_args: {log: "${log}"}}
""",
    "lfm_oracle": """\
fixed_seed: true
judge: {class_path: ialp.oracle.LexicalOracle}
model: {class_path: ialp.phases.OracleTuning, init_args: {judge: "${judge}"}}
data:
  class_path: ialp.datamodules.PromptDataModule
  init_args: {log: "${log}", interactions: 20, validation: 5, calibration: 20, held_out: 12}
""",
    "lfm_pretrain": """\
upstream: {oracle: lfm_oracle.yaml}
judge: {class_path: ialp.oracle.LexicalOracle}
model: {class_path: ialp.phases.IALPPretrain, init_args: {net: {dim: 16}}}
data:
  class_path: ialp.datamodules.OracleDataModule
  init_args:
    log: "${log}"
    oracle: {judge: "${judge}", adapter: "${upstream.oracle}", cache: judgements.sqlite}
    users: 6
    steps_per_epoch: 4
    batch_size: 8
""",
    "lfm_policyset": ONLINE.replace("SCHEME", "PolicySet"),
    "lfm_finetune": ONLINE.replace("SCHEME", "FineTune"),
    "lfm_policyset_episodes": EPISODES.replace("SCHEME", "PolicySet"),
    "lfm_finetune_episodes": EPISODES.replace("SCHEME", "FineTune"),
}


def read(page: Path) -> tuple[dict[str, str], list[str]]:
    """Files of a page, path → text, and its `ialp fit` commands."""
    text = page.read_text()
    return dict(FILE.findall(text)), re.findall(r"^    ialp (fit .*)$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with small configs, data of all kinds and the files of all pages; stages are built in this process."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("callbacks", "configs", "data"):
        (folder / name).mkdir()
    for name, text in CONFIGS.items():
        (folder / "configs" / f"{name}.yaml").write_text(COMMON + text)
    for page in PAGES:
        for name, text in read(page)[0].items():
            (folder / name).write_text(text)
    tracks = generate_tracks(40, seed=1)
    sessions = [[str(tracks[item]["title"]) for item in each] for each in generate_sessions(tracks, 60, seed=1)]
    (folder / "data" / "sessions.jsonl").write_text("\n".join(map(json.dumps, sessions)))
    (folder / "data" / "words.txt").write_text("Night\nred")

    def build(stage: building.Stage) -> None:
        with pytest.MonkeyPatch.context() as child:
            child.setenv(building.CHILD, stage.name)
            assert main(["fit", *stage.arguments]) == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setattr(building, "build", build)
        yield folder


def arguments(command: str) -> list[str]:
    """Of a command; a folder that ends in … is the one latest made of that name."""
    found = []
    for word in shlex.split(command):
        folders = sorted(Path().glob(word[:-1] + "*"), key=lambda path: path.stat().st_mtime)
        found.append(str(folders[-1]) if word.endswith("…") else word)
    return found


def test_the_pages_of_the_index_are_all_there() -> None:
    index = (PAGES[0].parent / "README.md").read_text()
    assert set(re.findall(r"\]\((\w+\.md)\)", index)) == {page.name for page in PAGES}
    assert {"scheme", "exploration", "exit_rule", "data_set"} <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_is_complete_and_short(page: Path) -> None:
    files, commands = read(page)
    assert commands and page.read_text().count("```python") == 1
    [example] = [text for name, text in files.items() if name.endswith(".py")]
    assert example.count("\n") <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_runs_as_it_stands(page: Path, project: Path) -> None:
    files, commands = read(page)
    for command in commands:
        assert main(arguments(command)) == 0
    [module] = [name[:-3].replace("/", ".") for name in files if name.endswith(".py")]
    runs = [done for done in project.glob("runs/*/*/done.json") if module in done.read_text()]
    assert runs, f"no run of {module}"
