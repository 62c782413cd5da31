"""`ialp oracle report`: is a judge worth its cost?"""

import json
from pathlib import Path
from typing import Any

from ialp.diagnostics.injection import ATTACKS, injection_gains, targets
from ialp.diagnostics.oracle_data import OracleReport, paired_interval
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.oracle import JudgementCache, LexicalOracle, Oracle, load_judge
from ialp.oracle.calibration import NoneCalibration, fit_none
from ialp.oracle.evaluation import JudgeEvaluation, examine_in_full
from ialp.runs.data import RunData
from ialp.runs.open import data_module


def report(run: RunData, chosen: Any) -> None:
    """Print what a judge is worth, and write oracle.json and oracle.png.

    Args:
        run: A finished oracle run.
        chosen: Options of `ialp oracle report`.

    Raises:
        UserError: The data or the judge cannot be used.
    """
    if chosen.questions < 1:
        raise UserError(f"--questions is {chosen.questions}: it must be at least 1")
    cache = chosen.cache or run.folder.absolute().parents[1] / "judgements.sqlite"
    publish(examine_run(run, chosen, Path(cache)), Path(chosen.out) if chosen.out else run.folder / "report")


def examine_run(run: RunData, chosen: Any, cache: Path) -> OracleReport:
    """Ask the judge of an oracle run, and word overlap, the same held-out questions."""
    data = data_module(run, chosen.data_root)
    data.held_out = chosen.questions
    data.setup()
    described = run.config["model"]["init_args"]["judge"]
    judge = load_judge(described) if chosen.untuned else load_judge(described, adapter=run.folder)
    threshold = None if chosen.untuned else NoneCalibration.load(run.folder).threshold
    catalogue = data.log.catalogue
    oracle = Oracle(judge, JudgementCache(cache), data.template, catalogue, budget=chosen.budget)
    floor = Oracle(LexicalOracle(), None, data.template, catalogue)
    held, bare = data.calibration()
    answers = [floor.answers(batch.questions) for batch in (held, bare)]
    floor_threshold = fit_none(answers[0], answers[1], held.answer, data.none_share).threshold
    return OracleReport(
        data.log.name,
        data.HELD_OUT_SEED,
        examined(oracle, data, threshold),
        examined(floor, data, floor_threshold),
        chosen.price,
        injected(oracle, data, chosen.attacked),
    )


def examined(oracle: Oracle, data: Any, threshold: float | None) -> JudgeEvaluation:
    """All questions of the data module, through the oracle's cache."""
    held, bare = data.examination()
    return examine_in_full(
        oracle, held, bare, data.popular_examination(), threshold, data.none_share, data.HELD_OUT_SEED
    )


def injected(oracle: Oracle, data: Any, count: int) -> dict[str, dict[str, float]]:
    """What each of `ATTACKS` gains on the first `count` questions; nothing for a judge that reads no prompts."""
    if not oracle.backend.reads_prompts or not count:
        return {}
    held, _ = data.examination()
    questions = held.questions.select(range(min(count, len(held.answer))))
    target = targets(held.answer[:count], data.candidates, data.HELD_OUT_SEED)
    gains = {name: injection_gains(oracle.answers, questions, target, attack) for name, attack in ATTACKS.items()}
    return {name: paired_interval(gain.double()) for name, gain in gains.items()}


def publish(report: OracleReport, folder: Path) -> None:
    """Print it, and write oracle.json and oracle.png."""
    from ialp.diagnostics.oracle_figure import draw_oracle
    from ialp.diagnostics.oracle_tables import print_oracle

    numbers = report.numbers()
    print_oracle(numbers)
    write_atomically(folder / "oracle.json", json.dumps(numbers, indent=2) + "\n")
    draw_oracle(report, numbers, folder / "oracle.png")
    print(f"figures: {folder / 'oracle.json'}\npicture: {folder / 'oracle.png'}")


def built(arguments: list[str]) -> RunData:
    """The oracle run that `ialp fit` with these arguments makes or builds on, built if it is missing.

    Raises:
        UserError: The config cannot be used, or has nothing to do with an oracle.
    """
    from ialp.experiment.building import build, build_missing
    from ialp.experiment.config_check import find_class
    from ialp.experiment.planning import plan_fit
    from ialp.phases import OracleTuning

    asked = plan_fit(arguments)
    stage = asked.upstream.get("oracle", asked)
    kind = find_class(stage.config["model"]["class_path"]) if stage.config else OracleTuning
    if not issubclass(kind, OracleTuning):
        raise UserError(f"{stage.name}: neither an oracle nor built on one; give --config configs/…_oracle.yaml")
    build_missing(stage, asked.config["missing"])
    if not stage.finished:
        build(stage)
    return RunData(stage.folder)


def finished(run: str) -> RunData:
    """The oracle run in a folder.

    Raises:
        UserError: There is none, or it is not finished.
    """
    found = RunData(Path(run))
    if not (Path(run) / "done.json").is_file():
        raise UserError(f"{run}: no finished run (it has no done.json); `ialp runs list` shows what there is")
    if not found.class_of("judge"):
        raise UserError(f"{run}: no oracle's run; give one of configs/…_oracle.yaml")
    return found
