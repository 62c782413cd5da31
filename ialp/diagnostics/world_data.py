"""A world described: what `ialp world describe` has measured, and the finished policies that were evaluated there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from ialp.diagnostics.reliability import Reliability
from ialp.envs import World
from ialp.envs.degeneracy import Played, degeneracy_warnings
from ialp.envs.references import Figures
from ialp.nets import RatingNet
from ialp.runs.data import FIGURES, REFERENCES, RunData

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 20
"""Of the histogram of the answers."""


@dataclass
class WorldData:
    """Everything that is printed, drawn and written of a world.

    Attributes:
        run: The reward run that made it.
        world: Its users.
        test_users: Users that the reference policies met, `rounds` episodes each.
        rounds: More than one where the test world has fewer users than episodes were asked for.
        played: The reference policies.
        reliability: Of the response net; None where there is nothing to hold it against.
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
    def references(self) -> dict[str, Figures]:
        """Return, length and average reward of the reference policies."""
        return {name: played.figures for name, played in self.played.items()}

    @property
    def popularity_share(self) -> float:
        """Share of greedy's return that popularity gets."""
        return self.references["popularity"]["return"] / self.references["greedy"]["return"]

    @property
    def warnings(self) -> list[str]:
        """Why methods cannot be told apart here, if so."""
        return degeneracy_warnings(self.references, self.policies)

    @property
    def rates(self) -> bool:
        """Users answer with a rating, rather than by a click."""
        return isinstance(self.world.response, RatingNet)

    @property
    def answer(self) -> str:
        """What users answer, in words."""
        return "rating" if self.rates else "p of a click"

    @property
    def answer_range(self) -> tuple[float, float]:
        """Lowest and highest answer that there could be."""
        net = self.world.response
        return (net.lowest, net.highest) if isinstance(net, RatingNet) else (0.0, 1.0)

    @property
    def causes(self) -> list[str]:
        """Words for what ends an episode."""
        return list(next(iter(self.played.values())).causes)

    def histogram(self, policy: str) -> tuple[Tensor, Tensor]:
        """(BINS + 1,) edges and (BINS,) shares of the answers to a policy's recommendations."""
        answers, (low, high) = self.played[policy].answers, self.answer_range
        return torch.linspace(low, high, BINS + 1), torch.histc(answers, BINS, low, high) / len(answers)

    def numbers(self) -> dict[str, Any]:
        """All of it as JSON values."""
        done = self.run.done
        return {
            "run": str(self.run.folder),
            "fingerprint": done.get("fingerprint"),
            "data": done.get("data"),
            "test_users": self.test_users,
            "episodes_per_user": self.rounds,
            "world": self.world.config,
            "intercept": float(self.world.response.intercept),
            "answer": self.answer,
            "references": {name: self._of_policy(name) for name in self.played},
            "popularity_share": self.popularity_share,
            "reliability": None if self.reliability is None else _plain(vars(self.reliability)),
            "scores": self.scores(),
            "policies": self.policies,
            "warnings": self.warnings,
        }

    def scores(self) -> dict[str, Any]:
        """What the reward run measured of its net on data that it was not trained on."""
        return {
            name: value
            for name, value in self.run.results.items()
            if name.startswith("val_") or name == "random_ratings"
        }

    def quantiles(self, policy: str) -> dict[str, float]:
        """Of the answers to a policy's recommendations, by their level."""
        found = self.played[policy].answers.quantile(torch.tensor(QUANTILES))
        return {f"{level:g}": float(value) for level, value in zip(QUANTILES, found, strict=True)}

    def _of_policy(self, name: str) -> dict[str, Any]:
        played, (edges, shares) = self.played[name], self.histogram(name)
        return {
            **played.figures,
            "share_of_greedy": played.figures["return"] / self.references["greedy"]["return"],
            "answers": {"mean": float(played.answers.mean()), "quantiles": self.quantiles(name)},
            "answer_histogram": _plain({"edges": edges, "shares": shares}),
            "episodes_of_length": torch.bincount(played.lengths).tolist(),
            "exit_causes": played.causes,
        }


def policy_label(name: str) -> str:
    """How tables and figures call a reference policy."""
    return REFERENCES.get(name, name)


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
        episodes = pl.read_parquet(path)
        returned, length = float(episodes["return"].mean()), float(episodes["length"].mean())  # type: ignore[arg-type]
        sampled = ", sampled" if path.stem.endswith("-sampled") else ""
        yield name + sampled, {"return": returned, "length": length, "average_reward": returned / length}


def _plain(value: Any) -> Any:
    """Tensors as lists; what is no number, as in an empty bin, as null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Tensor):
        return [None if each != each else each for each in value.tolist()]
    return value
