"""What `ialp world describe` measures: whether methods can be told apart, and whether users answer as real ones."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ialp.classes import find_class
from ialp.diagnostics.reliability import calibration_error
from ialp.envs import World
from ialp.envs.degeneracy import Played, degeneracy_warnings, play_references
from ialp.envs.references import Figures
from ialp.errors import UserError
from ialp.experiment.building import build, build_missing
from ialp.experiment.planning import Planner
from ialp.nets import RatingNet
from ialp.phases import RewardModel
from ialp.runs.data import FIGURES, RunData
from ialp.runs.open import data_module

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class WorldData:
    """Everything that is printed and written of a world.

    Attributes:
        run: The reward run that made it.
        test_users: Users that the reference policies were played with, `rounds` episodes each.
        rounds: More than one where the test world has fewer users than episodes were asked for.
        played: The reference policies.
        calibration_error: Of the response net; None where there is nothing to compare it with.
        policies: Finished policies that were evaluated in this world.
    """

    run: RunData
    world: World
    test_users: int
    rounds: int
    played: dict[str, Played]
    calibration_error: float | None
    policies: dict[str, Figures]

    @property
    def warnings(self) -> list[str]:
        """Why methods cannot be told apart here, if so."""
        return degeneracy_warnings({name: played.figures for name, played in self.played.items()}, self.policies)

    @property
    def answer(self) -> str:
        """What users answer, in words."""
        return "rating" if isinstance(self.world.response, RatingNet) else "p of a click"

    @property
    def scores(self) -> dict[str, Any]:
        """What the reward run measured of its net on held-out data."""
        results = self.run.results.items()
        return {name: value for name, value in results if name.startswith("val_") or name == "random_ratings"}

    def of_greedy(self, figures: Figures) -> float:
        """Fraction of the greedy policy's return."""
        return figures["return"] / self.played["greedy"].figures["return"]

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
            "references": {name: self._of_policy(played) for name, played in self.played.items()},
            "popularity_share": self.of_greedy(self.played["popularity"].figures),
            "calibration_error": self.calibration_error,
            "scores": self.scores,
            "policies": self.policies,
            "warnings": self.warnings,
        }

    def _of_policy(self, played: Played) -> dict[str, Any]:
        quantiles = played.responses.quantile(torch.tensor(QUANTILES)).tolist()
        named = {f"{level:g}": value for level, value in zip(QUANTILES, quantiles, strict=True)}
        return {
            **played.figures,
            "share_of_greedy": self.of_greedy(played.figures),
            "answers": {"mean": float(played.responses.mean()), "quantiles": named},
            "episodes_of_length": torch.bincount(played.lengths).tolist(),
            "exit_causes": played.causes,
        }


def built(arguments: list[str]) -> RunData:
    """The reward run that `ialp fit` with these arguments makes or builds on, built if it is missing.

    Raises:
        UserError: The config cannot be used, or has nothing to do with a reward model.
    """
    asked = Planner.make().plan(arguments)
    stage = asked.upstream.get("reward_model", asked)
    if stage.config and not issubclass(find_class(stage.config["model"]["class_path"]), RewardModel):
        raise UserError(f"{stage.name}: neither a reward model nor built on one; give --config configs/…_reward.yaml")
    build_missing(stage, asked.config["missing"])
    if not stage.finished:
        build(stage)
    return RunData(stage.folder)


def finished(run: str) -> RunData:
    """The reward run in a folder, or that on which the run in the folder was built.

    Raises:
        UserError: There is none.
    """
    place = RunData(Path(run))
    if not place.done:
        raise UserError(f"{run}: no finished run (it has no done.json); `ialp runs list` shows what there is")
    if place.world is None:
        raise UserError(f"{run}: no simulated users there, nor in what it was built on; name a finished reward run")
    return place.world


def measure(run: RunData, data_root: str | None, users: int) -> WorldData:
    """Play the reference policies, and compare the response net with held-out data."""
    module = data_module(run, data_root)
    module.setup()
    log = module.log
    world = World.load(run.folder, log.catalogue.fingerprint)
    first_items = log.test.first_items()[:users]
    rounds = math.ceil(users / len(first_items))
    env = world.env(first_items, rounds * len(first_items), evaluation=True)
    played = play_references(env, log)
    policies = finished_policies(run.folder.absolute().parents[1], run.folder)
    error = calibration_error(world.response, module)
    return WorldData(run, world, len(first_items), rounds, played, error, policies)


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
