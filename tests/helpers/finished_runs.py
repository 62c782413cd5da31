"""Folders of finished runs, written by hand: no stage is run here."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ialp.report.collect import collect
from ialp.report.comparison import worlds_of

SET, FROZEN = "ialp.rl.schemes.PolicySet", "ialp.rl.schemes.Frozen"

REFERENCES = {
    "random": {"return": 2.1, "length": 5.25, "average_reward": 0.4},
    "popularity": {"return": 13.4, "length": 7.1, "average_reward": 1.887},
    "text_similarity": {"return": 3.44, "length": 5.6, "average_reward": 0.614},
    "greedy": {"return": 84.63, "length": 18.9, "average_reward": 4.478},
}


def _run(folder: Path, *, scheme: str = "", upstream=None, seconds: float = 10.0, **results) -> Path:
    folder.mkdir(parents=True)
    part = {"scheme": {"class_path": f"ialp.rl.schemes.{scheme}"}, "algorithm": {"class_path": "ialp.rl.A2C"}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"init_args": part if scheme else {}}}))
    inputs = {key: str(path) for key, path in (upstream or {}).items()}
    done = {"seconds": seconds, "upstream": inputs, "results": results}
    (folder / "done.json").write_text(json.dumps(done))
    return folder


def _evaluation(folder: Path, policies=("adapted", "frozen"), epochs: int = 50) -> None:
    rows = ["policy,epoch,environment_steps,return,length,average_reward"]
    for policy in policies:
        for epoch in range(epochs + 1 if policy == "adapted" else 1):  # the frozen policy is measured once
            value = 5.1234 + 0.5 * epoch
            rows.append(f"{policy},{epoch},{epoch * 1000},{value},{6 + 0.08 * epoch},{value / 6}")
    (folder / "evaluation.csv").write_text("\n".join(rows) + "\n")


def _metrics(folder: Path) -> None:
    rows = ["epoch,step,train/environment_steps,train/return,train/length,loss"]
    for step in range(0, 50_000, 500):
        rows.append(f"{step // 1000},{step},{step},{3 + step / 2500 + (step % 3000) / 900},{6 + step / 20000},")
        rows.append(f"{step // 1000},{step},,,,0.5")
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """Write done.json and config.yaml of one run; returns its folder."""
    return _run


@pytest.fixture
def write_evaluation() -> Callable[..., None]:
    """Write the evaluation.csv of one run."""
    return _evaluation


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A PolicySet run on a pre-trained policy that a LocalLM judged."""
    runs = tmp_path / "runs"
    reward = _run(runs / "lfm_reward" / "0-aaaaaaaa", seconds=31.4)
    (reward / "references.json").write_text(json.dumps(REFERENCES))
    oracle = _run(runs / "lfm_oracle" / "0-bbbbbbbb", seconds=61)
    judgements = {"asked": 12_345, "cache_hits": 678, "model": "LocalLM builtin"}
    pretrain = _run(
        runs / "lfm_pretrain" / "0-cccccccc", upstream={"oracle": oracle}, seconds=95, judgements=judgements
    )
    upstream = {"reward_model": reward, "pretrained": pretrain}
    folder = _run(runs / "lfm_policyset" / "0-dddddddd", scheme="PolicySet", upstream=upstream, seconds=120)
    _evaluation(folder)
    _metrics(folder)
    return folder


def _online(
    runs: Path,
    config: str,
    seed: int,
    *,
    scheme: str = "ialp.rl.schemes.Scratch",
    algorithm: str | None = "ialp.rl.A2C",
    exploration: str | None = "ialp.rl.Categorical",
    world: str = "lfm",
    data: str = "ialp.datamodules.ReplayDataModule",
    returns=(2.0, 3.0, 4.0),
    steps: int = 1000,
    done: bool = True,
    **arguments,
) -> Path:
    """A run that ended, or did not, with these returns R at e = 0, 1, …; its length is R / 2, R_avg 2."""
    reward = runs / f"{world}_reward" / "0-aaaaaaaa"
    if not reward.is_dir():
        _run(reward)
        (reward / "config.yaml").write_text(yaml.safe_dump({"model": {"class_path": "ialp.phases.RewardModel"}}))
        (reward / "done.json").write_text(json.dumps({"stage": f"{world}_reward", "seed": 0, "fingerprint": "a"}))
        (reward / "references.json").write_text(json.dumps(REFERENCES))
        (reward / "world").mkdir()
    model = {"scheme": {"class_path": scheme, "init_args": arguments.pop("scheme_arguments", {})}, **arguments}
    for key, path in (("algorithm", algorithm), ("exploration", exploration)):
        model[key] = path and {"class_path": path}
    folder = runs / config / f"{seed}-{zlib.crc32(config.encode()):08x}"
    folder.mkdir(parents=True)
    settings = {
        "model": {"class_path": "ialp.phases.OnlineAdapt", "init_args": model},
        "trainer": {"max_epochs": len(returns) - 1},
        "data": {"class_path": data, "init_args": {"reward_model": str(reward)}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    frozen = scheme.endswith("Frozen")
    rows = ["policy,epoch,environment_steps,return,length,average_reward"]
    rows += [f"{'frozen' if frozen else 'adapted'},{e},{e * steps},{r},{r / 2},2" for e, r in enumerate(returns)]
    (folder / "evaluation.csv").write_text("\n".join(rows) + "\n")
    curve = [f"{e},{e},{e * steps},{r},{r / 2}" for e, r in enumerate(returns) if e]
    header = "epoch,step,train/environment_steps,train/return,train/length"
    (folder / "metrics.csv").write_text("\n".join([header, *([] if frozen else curve)]) + "\n")
    if done:
        written = {
            "stage": config, "seed": seed, "fingerprint": folder.name, "seconds": 10.0, "data": {"name": world},
            "upstream": {"reward_model": str(reward)}, "finished": "2026-01-01T00:00:00+00:00",
            "versions": {"python": "3.11"}, "code": "0123456789abcdef",
        }  # fmt: skip
        (folder / "done.json").write_text(json.dumps(written))
    return folder


@pytest.fixture(scope="session")
def write_online() -> Callable[..., Path]:
    """Write one online run, and its world's reward run beside it; returns its folder."""
    return _online


@pytest.fixture
def runs(tmp_path, write_online):
    """Two seeds each of A2C, the policy set and the frozen policy on LFM."""
    for seed in (0, 1):
        write_online(tmp_path, "scratch", seed, returns=(2 + seed, 3, 10 + 2 * seed))
        write_online(tmp_path, "set", seed, scheme=SET, returns=(5, 6 + seed, 20 + seed))
        write_online(tmp_path, "start", seed, scheme=FROZEN, algorithm=None, exploration=None, returns=(5 + seed,))
    return tmp_path


def worlds(runs):
    """What a folder of runs holds, world by world."""
    return worlds_of(collect([runs]))


def rows(table, heading):
    """First word -> the texts of the row's other cells."""
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.sections[heading]}


def marks(table, heading, column):
    """First word -> rank of the cell in a column."""
    return {row[0].text: row[column].rank for row in table.sections[heading]}
