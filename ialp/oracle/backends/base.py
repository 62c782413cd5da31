"""What every judge can do: answer questions with log-probabilities, and be tuned."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ialp.data.catalogue import Catalogue
from ialp.errors import UserError
from ialp.oracle.questions import Questions

ORACLE_FOLDER = "oracle"  # where a run of OracleTuning leaves what it learnt
ORACLE_FILE = "oracle.json"


@dataclass
class LoRA:
    """Low-rank adapters, as PEFT takes them.

    Attributes:
        rank: Width r of the two factors.
        alpha: The update is scaled by alpha / rank.
        dropout: On the adapters' inputs.
        target_modules: Names of the layers that get one, or "all-linear": every linear layer but the output head.
        modules_to_save: Layers trained as a whole and saved with the adapter, such as the embeddings.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    target_modules: str | list[str] = "all-linear"
    modules_to_save: list[str] | None = None


class Tuner(nn.Module, ABC):
    """The trainable form of a judge, as OracleTuning sees it."""

    @abstractmethod
    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (scalar) of answer (B,), K for None, and the (B, K + 1) log-probabilities of the labels."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learnt, so that `JudgeBackend.tuned` finds it."""

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """What the optimiser gets; a judge may scale the learning rate to its own parameters."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]


class JudgeBackend(ABC):
    """Answers questions. A subclass named in YAML (`class_path`) is all that a new judge needs."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For people: shown in reports and in the final table."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """All but the prompt that can change an answer: model, revision, adapter, dtype, backend."""

    @abstractmethod
    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1) float32 log-probabilities of the labels, normalised over them; the last is None."""

    @abstractmethod
    def tuner(self, lora: LoRA) -> Tuner:
        """A trainable copy. Judges that are no networks take what they need of `lora`, which may be nothing."""

    @abstractmethod
    def tuned(self, folder: str | Path) -> "JudgeBackend":
        """This judge with what OracleTuning left in a run folder.

        Raises:
            UserError: Nothing is there, or it was tuned on another judge.
        """

    def prepare(self, catalogue: Catalogue) -> None:
        """Read the catalogue before the first question; most judges have no need to."""
        del catalogue

    @property
    def label_mass(self) -> float | None:
        """Mean probability that the model gave to any label at all, or None where that has no meaning."""
        return None


def find_oracle(folder: str | Path) -> Path:
    """The folder that holds a tuned oracle: `folder` itself, or `oracle/` inside it, as in a run folder.

    Raises:
        UserError: Neither is there.
    """
    for path in (Path(folder) / ORACLE_FOLDER, Path(folder)):
        if (path / ORACLE_FILE).is_file() or (path / "adapter_config.json").is_file():
            return path
    raise UserError(f"adapter {folder}: no {ORACLE_FILE} there; give the run folder of a finished oracle tuning")
