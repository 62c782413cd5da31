"""What a config says of the judge, and the oracle that it describes."""

from dataclasses import dataclass, field
from pathlib import Path

from ialp.data.log import Log
from ialp.errors import UserError
from ialp.oracle.backends.base import JudgeBackend
from ialp.oracle.cache import JudgementCache
from ialp.oracle.calibration import NoneCalibration
from ialp.oracle.judges import load_judge
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
        return Oracle(
            load_judge(self.judge, self.adapter),
            JudgementCache(Path(self.cache)),
            PromptTemplate(*words, log.attribute_names, path=self.template),
            log.catalogue,
            self.judging,
            self.budget,
            self._none_threshold(),
        )

    def _none_threshold(self) -> float | None:
        """What OracleTuning fitted, where it is asked for."""
        if self.judging.none == "argmax":
            return None
        if self.adapter is None:
            raise UserError("judging.none is calibrated, but `adapter` names no tuned oracle; set none: argmax")
        return NoneCalibration.load(self.adapter).threshold
