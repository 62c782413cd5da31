"""`ialp oracle report`: a judge and word overlap on the same held-out questions."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ialp.diagnostics.injection import ATTACKS, injection_gains, targets
from ialp.diagnostics.stages import built_stage, finished_run
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.oracle import JudgementCache, LexicalOracle, Oracle, load_judge
from ialp.oracle.calibration import NoneCalibration, fit_none
from ialp.oracle.evaluation import ROUNDED, JudgeEvaluation, evaluate_in_full
from ialp.phases import OracleTuning
from ialp.report.statistics import mean
from ialp.runs.data import RunData
from ialp.runs.open import data_module


@dataclass
class OracleReport:
    """A judge's answers, and those of word overlap (the floor) to the same questions.

    Attributes:
        log: Name of the data.
        seed: Of the questions.
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
        """Probability of picking the true next item among the K candidates by chance."""
        return 1 / self.judge.none

    def numbers(self) -> dict[str, Any]:
        """Everything, for JSON."""
        intervals = {"picked": self.judge.right(), "picked_popular": self.judge.right(popular=True)}
        judge = self.judge.figures() | {"cost": self.cost()}
        judge["intervals"] = {name: wilson(right) for name, right in intervals.items()}
        return {
            "data": self.log,
            "questions": len(self.judge.answer),
            "candidates": self.judge.none,
            "seed": self.seed,
            "chance": round(self.chance, ROUNDED),
            "judge": judge,
            "floor": self.floor.figures(),
            "picked_minus_floor": self.lead(),
            "ranks": [round(float(value), ROUNDED) for value in self.judge.ranks()],
            "injection": self.attacks,
        }

    def lead(self) -> dict[str, float]:
        """The judge's true items picked less the floor's, by question; None by its threshold where one was fitted."""
        mine, others = (side.right(calibrated=side.none_threshold is not None) for side in (self.judge, self.floor))
        return paired_interval(mine.double() - others.double())

    def cost(self) -> dict[str, float | None]:
        """Prompts, seconds, tokens and price of the answers, and per 1,000 judgements, as far as they are known."""
        cost = dict(self.judge.cost or {})
        asked, tokens = cost.get("asked"), cost.get("tokens")
        each = round(tokens / asked, 1) if asked and tokens else None
        price = None if self.price is None or each is None else round(each * self.price / 1000, 4)
        return cost | {"tokens_per_judgement": each, "price_per_1000": price}


def wilson(right: Tensor) -> list[float]:
    """Ends of the 95 % interval (Wilson's) of a proportion, from (n,) bool."""
    from scipy.stats import binomtest

    found = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return [round(float(found.low), ROUNDED), round(float(found.high), ROUNDED)]


def paired_interval(difference: Tensor) -> dict[str, float]:
    """Mean of (n,) differences and its 95 % bootstrap interval."""
    found = mean(difference.tolist())
    ends = (found.value if end is None else end for end in (found.low, found.high))
    return dict(zip(("mean", "low", "high"), (round(each, ROUNDED) for each in (found.value, *ends)), strict=True))


def built(arguments: list[str]) -> RunData:
    """The oracle run that `ialp fit` with these arguments makes or builds on, built if it is missing.

    Raises:
        UserError: The config cannot be used, or has nothing to do with an oracle.
    """
    refusal = "neither an oracle nor built on one; give --config configs/…_oracle.yaml"
    return built_stage(arguments, "oracle", OracleTuning, refusal)


def finished(run: str) -> RunData:
    """The oracle run in a folder.

    Raises:
        UserError: There is none, or it is not finished.
    """
    found = finished_run(run)
    if not found.class_of("judge"):
        raise UserError(f"{run}: no oracle's run; give one of configs/…_oracle.yaml")
    return found


def report(run: RunData, chosen: Any) -> OracleReport:
    """Measure the judge of a finished oracle run, print it, and write oracle.json and oracle.png.

    Args:
        run: A finished oracle run.
        chosen: Options of `ialp oracle report`: questions, attacked, untuned, budget, price, cache, out, data_root.

    Raises:
        UserError: The data or the judge cannot be used.
    """
    from ialp.diagnostics.oracle_view import draw_oracle, print_oracle

    if chosen.questions < 1:
        raise UserError(f"--questions is {chosen.questions}: it must be at least 1")
    measured = measure(run, chosen, Path(chosen.cache or run.folder.absolute().parents[1] / "judgements.sqlite"))
    numbers = measured.numbers()
    print_oracle(numbers)
    folder = Path(chosen.out) if chosen.out else run.folder / "report"
    write_atomically(folder / "oracle.json", json.dumps(numbers, indent=2) + "\n")
    draw_oracle(measured, numbers, folder / "oracle.png")
    print(f"figures: {folder / 'oracle.json'}\npicture: {folder / 'oracle.png'}")
    return measured


def measure(run: RunData, chosen: Any, cache: Path) -> OracleReport:
    """Ask the judge of an oracle run, and word overlap, the same held-out questions."""
    data = data_module(run, chosen.data_root)
    data.held_out = chosen.questions
    data.setup()
    judge = load_judge(run.config["model"]["init_args"]["judge"], **({} if chosen.untuned else {"adapter": run.folder}))
    threshold = None if chosen.untuned else NoneCalibration.load(run.folder).threshold
    catalogue = data.log.catalogue
    oracle = Oracle(judge, JudgementCache(cache), data.template, catalogue, budget=chosen.budget)
    floor = Oracle(LexicalOracle(), None, data.template, catalogue)
    held, bare = data.calibration_questions()
    answers = [floor.answers(batch.questions) for batch in (held, bare)]
    floor_threshold = fit_none(answers[0], answers[1], held.answer, data.none_share).threshold
    evaluated = _evaluated(oracle, threshold, data), _evaluated(floor, floor_threshold, data)
    attacks = _injected(oracle, data, chosen.attacked)
    return OracleReport(data.log.name, data.HELD_OUT_SEED, *evaluated, price=chosen.price, attacks=attacks)


def _evaluated(oracle: Oracle, threshold: float | None, data: Any) -> JudgeEvaluation:
    batches = *data.held_out_questions(), data.popular_questions()
    return evaluate_in_full(oracle, batches, threshold, data.none_share, data.HELD_OUT_SEED)


def _injected(oracle: Oracle, data: Any, count: int) -> dict[str, dict[str, float]]:
    """What each of `ATTACKS` gains on the first `count` questions; nothing for a judge that reads no prompts."""
    if not oracle.backend.reads_prompts or not count:
        return {}
    held, _ = data.held_out_questions()
    questions = held.questions.select(range(min(count, len(held.answer))))
    target = targets(held.answer[:count], data.candidates, data.HELD_OUT_SEED)
    gains = {name: injection_gains(oracle.answers, questions, target, attack) for name, attack in ATTACKS.items()}
    return {name: paired_interval(gain.double()) for name, gain in gains.items()}
