"""The oracle of a log, from what a config says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.errors import UserError
from ialp.oracle.cache import JudgementCache
from ialp.oracle.calibration import NoneCalibration
from ialp.oracle.judges import load_judge
from ialp.oracle.oracle import Judging, Oracle
from ialp.oracle.prompt import PromptTemplate

if TYPE_CHECKING:
    from ialp.data import Log


def open_oracle(
    log: "Log",
    judge: Any,
    adapter: str | None,
    judging: Judging,
    template: str | None,
    cache: str,
    budget: int | None,
) -> Oracle:
    """The judge, tuned by the oracle run `adapter`, asked in the words of the log, through the cache.

    Raises:
        UserError: No such judge or run; None shall be calibrated, and no run has fitted its threshold.
    """
    words = log.scenario, log.item_word, log.behavior, log.attribute_names
    return Oracle(
        load_judge(judge, adapter=adapter),
        JudgementCache(Path(cache)),
        PromptTemplate(*words, path=template),
        log.catalogue,
        judging,
        budget,
        _none_threshold(judging, adapter),
    )


def _none_threshold(judging: Judging, adapter: str | None) -> float | None:
    """What OracleTuning fitted, where it is asked for."""
    if judging.none == "argmax":
        return None
    if adapter is None:
        raise UserError("judging.none is calibrated, but `oracle` names no tuned oracle; set none: argmax")
    return NoneCalibration.load(adapter).threshold
