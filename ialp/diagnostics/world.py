"""`ialp world describe`: whether methods can be told apart in a world, and whether its users answer as real ones."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from ialp.data import RatingLog
from ialp.datamodules import SessionDataModule
from ialp.diagnostics.reliability import Reliability, reliability_of_clicks, reliability_of_ratings
from ialp.diagnostics.stages import built_stage, finished_run
from ialp.envs import World
from ialp.envs.degeneracy import Played, degeneracy_warnings, play_references
from ialp.envs.references import Figures
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.nets import RatingNet
from ialp.nets.response import ResponseNet
from ialp.phases import RewardModel
from ialp.runs.data import FIGURES, REFERENCES, RunData
from ialp.runs.open import data_module

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 20
"""Of the histogram of the answers."""


@dataclass
class WorldData:
    """Everything that is printed, drawn and written of a world.

    Attributes:
        run: The reward run that made it.
        test_users: Users that the reference policies were played with, `rounds` episodes each.
        rounds: More than one where the test world has fewer users than episodes were asked for.
        played: The reference policies.
        reliability: Of the response net; None where there is nothing to compare it with.
        policies: Finished policies that were evaluated in this world.
    """

    run: RunData
    world: World
    test_users: int
    rounds: int
    played: dict[str, Played]
    reliability: Reliability | None
    policies: dict[str, Figures] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Why methods cannot be told apart here, if so."""
        return degeneracy_warnings({name: played.figures for name, played in self.played.items()}, self.policies)

    @property
    def answer(self) -> str:
        """What users answer, in words."""
        return "rating" if isinstance(self.world.response, RatingNet) else "p of a click"

    @property
    def answer_range(self) -> tuple[float, float]:
        """Lowest and highest answer that there could be."""
        net = self.world.response
        return (net.lowest, net.highest) if isinstance(net, RatingNet) else (0.0, 1.0)

    @property
    def scores(self) -> dict[str, Any]:
        """What the reward run measured of its net on held-out data."""
        results = self.run.results.items()
        return {name: value for name, value in results if name.startswith("val_") or name == "random_ratings"}

    def of_greedy(self, figures: Figures) -> float:
        """Fraction of the greedy policy's return."""
        return figures["return"] / self.played["greedy"].figures["return"]

    def histogram(self, policy: str) -> tuple[Tensor, Tensor]:
        """(BINS + 1,) edges and (BINS,) proportions of the answers to a policy's recommendations."""
        answers, (low, high) = self.played[policy].responses, self.answer_range
        return torch.linspace(low, high, BINS + 1), torch.histc(answers, BINS, low, high) / len(answers)

    def numbers(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "run": str(self.run.folder),
            "fingerprint": self.run.done.get("fingerprint"),
            "data": self.run.done.get("data"),
            "test_users": self.test_users,
            "episodes_per_user": self.rounds,
            "world": self.world.config,
            "intercept": float(self.world.response.intercept),
            "answer": self.answer,
            "references": {name: self._of_policy(name) for name in self.played},
            "popularity_share": self.of_greedy(self.played["popularity"].figures),
            "reliability": None if self.reliability is None else _plain(vars(self.reliability)),
            "scores": self.scores,
            "policies": self.policies,
            "warnings": self.warnings,
        }

    def _of_policy(self, name: str) -> dict[str, Any]:
        played, (edges, shares) = self.played[name], self.histogram(name)
        quantiles = played.responses.quantile(torch.tensor(QUANTILES)).tolist()
        named = {f"{level:g}": value for level, value in zip(QUANTILES, quantiles, strict=True)}
        return {
            **played.figures,
            "share_of_greedy": self.of_greedy(played.figures),
            "answers": {"mean": float(played.responses.mean()), "quantiles": named},
            "answer_histogram": {"edges": edges.tolist(), "shares": shares.tolist()},
            "episodes_of_length": torch.bincount(played.lengths).tolist(),
            "exit_causes": played.causes,
        }


def policy_label(name: str) -> str:
    """The name of a reference policy in tables and figures."""
    return REFERENCES.get(name, name)


def built(arguments: list[str]) -> RunData:
    """The reward run that `ialp fit` with these arguments makes or builds on, built if it is missing.

    Raises:
        UserError: The config cannot be used, or has nothing to do with a reward model.
    """
    refusal = "neither a reward model nor built on one; give --config configs/…_reward.yaml"
    return built_stage(arguments, "reward_model", RewardModel, refusal)


def finished(run: str) -> RunData:
    """The reward run in a folder, or that on which the run in the folder was built.

    Raises:
        UserError: There is none.
    """
    found = finished_run(run).world
    if found is None:
        raise UserError(f"{run}: no simulated users there, nor in what it was built on; name a finished reward run")
    return found


def describe(run: RunData, out: str | None = None, data_root: str | None = None, users: int = 500) -> WorldData:
    """Measure the world of a reward run, print it, and write world.png and world.json.

    Args:
        run: A finished reward run.
        out: Folder of the two files.
        data_root: Where the data lies, if not where the run says.
        users: Test users per reference policy; where the test world has fewer, they play several episodes each.

    Raises:
        UserError: The data or the world cannot be used.
    """
    from ialp.diagnostics.world_view import draw_world, print_world

    if users < 1:
        raise UserError(f"--users is {users}: it must be at least 1")
    data = measure(run, data_root, users)
    print_world(data)
    folder = Path(out) if out else run.folder / "describe"
    write_atomically(folder / "world.json", json.dumps(data.numbers(), indent=2) + "\n")
    draw_world(data, folder / "world.png")
    print(f"figures: {folder / 'world.json'}\npicture: {folder / 'world.png'}")
    return data


def measure(run: RunData, data_root: str | None, users: int) -> WorldData:
    """Play the reference policies, and compare the response net with held-out data."""
    module = data_module(run, data_root)
    module.setup()
    log = module.log
    world = World.load(run.folder, log.catalogue.fingerprint)
    first_items = log.test.first_items()[:users]
    rounds = math.ceil(users / len(first_items))
    env = world.env(first_items, rounds * len(first_items), evaluation=True)
    played = play_references(env, log, lambda name: print(f"  playing {env.num_users} episodes: {policy_label(name)}"))
    policies = finished_policies(run.folder.absolute().parents[1], run.folder)
    reliability = reliability_of(world.response, module)
    return WorldData(run, world, len(first_items), rounds, played, reliability, policies)


def reliability_of(net: ResponseNet, module: Any) -> Reliability | None:
    """On what the data module holds out; None where that is neither sessions nor ratings of random items."""
    if isinstance(module, SessionDataModule):
        return reliability_of_clicks(net, module)
    if isinstance(net, RatingNet) and isinstance(module.log, RatingLog):
        return reliability_of_ratings(net, module.log)
    return None


def finished_policies(runs_dir: Path, world: Path) -> dict[str, Figures]:
    """Finished runs below `runs_dir` that were evaluated in this world: config/run -> figures, the best first.

    An online run counts with the end of its evaluation, any other with what `ialp evaluate` wrote beside it.
    """
    found: dict[str, Figures] = {}
    for done in sorted(runs_dir.glob("*/*/done.json")):
        found.update(_evaluations(RunData(done.parent), RunData(world)))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]["return"]))


def _evaluations(run: RunData, world: RunData) -> Iterator[tuple[str, Figures]]:
    name = f"{run.name}/{run.folder.name}"
    measured = run.evaluation()
    if len(measured) and run.world and run.world.folder.resolve() == world.folder.resolve():
        last = measured.filter(pl.col("epoch") == pl.col("epoch").max()).sort("policy")  # adapted before frozen
        yield name, {key: float(last[key][0]) for key in FIGURES}
        return
    for path in sorted(run.folder.glob(f"episodes-{world.name}-{world.folder.absolute().name}*.parquet")):
        returned, length = pl.read_parquet(path).select(pl.col("return", "length").cast(pl.Float64).mean()).row(0)
        sampled = ", sampled" if path.stem.endswith("-sampled") else ""
        yield name + sampled, {"return": returned, "length": length, "average_reward": returned / length}


def _plain(value: Any) -> Any:
    """Tensors as lists; nan, as in an empty bin, as null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Tensor):
        return [None if each != each else each for each in value.tolist()]
    return value
