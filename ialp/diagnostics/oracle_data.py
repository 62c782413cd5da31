"""What `ialp oracle report` shows: a judge and the word-overlap floor on the same questions, with intervals."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ialp.oracle.evaluation import ROUNDED, JudgeEvaluation

RESAMPLES = 2000


@dataclass
class OracleReport:
    """A judge beside the floor.

    Attributes:
        log: Name of the data.
        seed: Of the questions.
        judge: The judge's answers.
        floor: LexicalOracle's, to the same questions.
        price: Per million tokens, in any currency, if one was given.
        attacks: What injected titles gain, by kind of attack.
    """

    log: str
    seed: int
    judge: JudgeEvaluation
    floor: JudgeEvaluation
    price: float | None = None
    attacks: dict[str, Any] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Of picking the true next item among the K candidates."""
        return 1 / self.judge.none

    def numbers(self) -> dict[str, Any]:
        """Everything, for JSON."""
        figures = self.judge.figures()
        figures["cost"] = self.cost()
        figures["intervals"] = {
            "picked": wilson(self.judge.right()),
            "picked_popular": wilson(self.judge.right(popular=True)),
        }
        return {
            "data": self.log,
            "questions": len(self.judge.answer),
            "candidates": self.judge.none,
            "seed": self.seed,
            "chance": round(self.chance, ROUNDED),
            "judge": figures,
            "floor": self.floor.figures(),
            "picked_minus_floor": self.lead(),
            "ranks": [round(float(value), ROUNDED) for value in self.judge.ranks()],
            "injection": self.attacks,
        }

    def lead(self) -> dict[str, float]:
        """The judge's share of true items picked less the floor's, question by question, with a 95 % interval.

        Both pick None by their thresholds, where they have one.
        """
        sides = (each.right(calibrated=each.none_threshold is not None) for each in (self.judge, self.floor))
        mine, others = (side.double() for side in sides)
        return paired_interval(mine - others)

    def cost(self) -> dict[str, float | None]:
        """What the answers took, and per 1,000 judgements, as far as it is known."""
        cost = dict(self.judge.cost or {})
        asked, tokens = cost.get("asked"), cost.get("tokens")
        cost["tokens_per_judgement"] = round(tokens / asked, 1) if asked and tokens else None
        per_thousand = cost["tokens_per_judgement"]
        known = self.price is not None and per_thousand is not None
        cost["price_per_1000"] = round(per_thousand * self.price / 1000, 4) if known else None  # type: ignore[operator]
        return cost


def wilson(right: Tensor) -> list[float]:
    """95 % interval of a share (Wilson's), from (n,) bool."""
    from scipy.stats import binomtest

    found = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return [round(float(found.low), ROUNDED), round(float(found.high), ROUNDED)]


def paired_interval(difference: Tensor) -> dict[str, float]:
    """Mean of (n,) differences and its 95 % bootstrap interval."""
    from scipy.stats import bootstrap

    values = difference.numpy()
    mean = round(float(values.mean()), ROUNDED)
    if not values.any() or float(torch.as_tensor(values).std()) == 0:
        return {"mean": mean, "low": mean, "high": mean}
    generator = np.random.default_rng(0)
    found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, rng=generator, method="percentile").confidence_interval
    return {"mean": mean, "low": round(float(found.low), ROUNDED), "high": round(float(found.high), ROUNDED)}
