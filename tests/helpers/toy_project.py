"""A folder with three configs that build on each other: world <- judge <- policy -> world."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ialp.cli.main import main
from ialp.experiment import building

LOG = "{class_path: ialp.data.BuiltinLog, init_args: {num_tracks: 60, num_sessions: 40}}"
TOY = "tests.helpers.toy.Toy"
COMMON = f"""\
data_root: ${{oc.env:IALP_DATA,null}}
log: {LOG}
data: {{class_path: tests.helpers.toy.ToyData, init_args: {{log: "${{log}}"}}}}
trainer: {{max_epochs: 1, log_every_n_steps: 1}}
"""
CONFIGS = {
    "world": f"seed_everything: 0\nfixed_seed: true\n{COMMON}model: {{class_path: {TOY}}}\n",
    "judge": f"upstream: {{world: world.yaml}}\n{COMMON}"
    f'model: {{class_path: {TOY}, init_args: {{base: "${{upstream.world}}"}}}}\n',
    "policy": f"upstream: {{world: world.yaml, judge: judge.yaml}}\n{COMMON}"
    f'model: {{class_path: {TOY}, init_args: {{base: "${{upstream.judge}}", other: "${{upstream.world}}"}}}}\n',
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IALP_DATA", raising=False)
    (tmp_path / "configs").mkdir()
    for name, text in CONFIGS.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def fit(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`ialp fit --config configs/NAME.yaml …` in this process, the stages that it builds included."""

    def build(stage: building.Stage) -> None:
        with pytest.MonkeyPatch.context() as child:
            child.setenv(building.CHILD, stage.name)
            code = main(["fit", *stage.arguments])
        if code:
            raise building.StageFailed(code)

    monkeypatch.setattr(building, "build", build)
    return lambda name, *arguments: main(["fit", "--config", f"configs/{name}.yaml", *arguments])


@pytest.fixture
def folder_of(project: Path) -> Callable[[str], Path]:
    """The only run folder of a config."""

    def find(name: str) -> Path:
        [folder] = [path for path in Path("runs", name).iterdir() if path.is_dir()]
        return folder

    return find
