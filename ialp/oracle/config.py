"""What a config says of the judge, and the oracle that it describes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ialp.data.log import Log
from ialp.errors import UserError, user_error_beneath
from ialp.oracle.backends.base import JudgeBackend
from ialp.oracle.cache import JudgementCache
from ialp.oracle.calibration import NoneCalibration
from ialp.oracle.oracle import Judging, Oracle
from ialp.oracle.prompt import PromptTemplate


@dataclass
class OracleConfig:
    """The judge, and how it is asked.

    Attributes:
        judge: The model that judges, an instance or class_path and init_args.
        adapter: Folder of a finished oracle run, whose adapter the judge takes; null judges untuned.
        judging: How answers become picks and rewards.
        template: A prompt template file of one's own.
        cache: File of the judgement cache.
        budget: Questions that the model may be asked at most, by all ranks together, each of which has an equal share;
            cached answers are not counted; null for no limit.
    """

    judge: JudgeBackend
    adapter: str | None = None
    judging: Judging = field(default_factory=Judging)
    template: str | None = None
    cache: str = "runs/judgements.sqlite"
    budget: int | None = None

    def __post_init__(self) -> None:
        self.judge = load_judge(self.judge)  # in Python class_path and init_args will do

    def open(self, log: Log) -> Oracle:
        """The judge, tuned by the oracle run `adapter`, asked in the words of the log, through the cache.

        Raises:
            UserError: No such judge or run; None shall be calibrated, and no run has fitted its threshold.
        """
        words = log.words.scenario, log.words.item, log.words.behavior
        threshold: float | None = None
        if self.judging.none == "calibrated":
            if self.adapter is None:
                raise UserError("judging.none is calibrated, but `adapter` names no tuned oracle; set none: argmax")
            threshold = NoneCalibration.load(self.adapter).threshold
        return Oracle(
            load_judge(self.judge, self.adapter),
            JudgementCache(self.cache),
            PromptTemplate(*words, log.attribute_names, path=self.template),
            log.catalogue,
            self.judging,
            self.budget,
            threshold,
        )


def load_judge(judge: JudgeBackend | Mapping[str, Any] | None, adapter: str | Path | None = None) -> JudgeBackend:
    """The judge, as an instance or as class_path and init_args, with what OracleTuning left in the folder `adapter`.

    Raises:
        UserError: No such judge, or arguments that it does not take.
    """
    if judge is None:
        raise UserError("no judge is named: set `judge`, for example {class_path: ialp.oracle.LexicalOracle}")
    if not isinstance(judge, JudgeBackend | Mapping):  # a part was set of what another key holds
        raise UserError(
            f"judge is {judge!r}, not class_path and init_args: on the command line --judge.init_args.KEY VALUE "
            "changes that of all stages; for one stage give the whole: {class_path: CLASS, init_args: {KEY: VALUE}}"
        )
    backend = judge if isinstance(judge, JudgeBackend) else _instance(judge)
    return backend if adapter is None else backend.tuned(adapter)


def _instance(judge: Mapping[str, Any]) -> JudgeBackend:
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(JudgeBackend, "judge")
    try:
        return parser.instantiate(parser.parse_object({"judge": dict(judge)})).judge
    except ArgumentError as error:
        raise UserError(f"judge: {' '.join(str(error).split())}") from error
    except ValueError as error:  # the parser's own, around what the constructor said
        raise user_error_beneath(error) or error from None
