"""A causal language model on this machine, with or without a LoRA adapter."""

import hashlib
import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FILE, JudgeBackend, LoRA, Tuner, find_oracle
from ialp.oracle.backends.loading import BUILTIN, hash_folder, identity, load_model, load_tokenizer, pick_device
from ialp.oracle.backends.lora import LoRATuner
from ialp.oracle.backends.scoring import LabelScorer, label_log_probabilities
from ialp.oracle.questions import Questions

ENOUGH_QUESTIONS = 100  # before the mean mass on the labels is believed
LITTLE_MASS = 0.5


class LocalLM(JudgeBackend):
    """Any causal LM of transformers, loaded when it is first asked.

    Args:
        model: A folder, a model of the hub, or "builtin".
        adapter: A run folder of OracleTuning, or a folder with a PEFT adapter; merged into the weights.
        revision: Branch, tag or commit of a hub model.
        dtype: Of the weights: float32, bfloat16 or float16.
        batch_size: Prompts per forward pass. Few are fastest on a CPU, where they stay in its cache; a GPU takes 64.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
    """

    def __init__(
        self,
        model: str = BUILTIN,
        adapter: str | None = None,
        revision: str | None = None,
        dtype: str = "float32",
        batch_size: int = 8,
        device: str = "auto",
    ):
        if batch_size < 1:
            raise UserError(f"judge.batch_size is {batch_size}: it must be at least 1")
        self.model = model
        self.adapter = adapter
        self.revision = revision
        self.dtype = dtype
        self.batch_size = batch_size
        self.device = device
        self._mass, self._answered = 0.0, 0

    @property
    def name(self) -> str:
        """The model, its dtype, and whether it is tuned."""
        return f"{self.model} ({self.dtype}{', tuned' if self.adapter else ''})"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of model, adapter and dtype. Batch size and device change the last digits of an answer at most."""
        adapter = hash_folder(find_oracle(self.adapter)) if self.adapter else None
        parts = ["LocalLM", self.base_identity, adapter, self.dtype]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @cached_property
    def base_identity(self) -> str:
        """Hash of the model without the adapter."""
        return identity(self.model, self.revision)

    @property
    def label_mass(self) -> float | None:
        """Mean probability on the labels, over all questions so far."""
        return self._mass / self._answered if self._answered else None

    @torch.no_grad()
    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1) of the labels, None's last.

        Raises:
            UserError: The model, the adapter or the labels do not fit, or a prompt is too long.
        """
        prompts, shared = self._scorer.encode(questions)
        label_ids = self._scorer.label_ids(questions)
        logits = self._scorer.next_token_logits(prompts, shared, self.batch_size)
        log_probabilities, mass = label_log_probabilities(logits, label_ids)
        self._watch(mass)
        return log_probabilities.cpu()

    def tuner(self, lora: LoRA) -> Tuner:
        """The model under a new LoRA adapter.

        Raises:
            UserError: There is an adapter already: what is tuned on top of it would not load without it.
        """
        if self.adapter is not None:
            raise UserError(f"judge {self.model} has the adapter {self.adapter} already: tune it without")
        network = load_model(self.model, self.revision, self.dtype, "cpu")
        about = {"judge": "LocalLM", "model": self.model, "base": self.base_identity, "dtype": self.dtype}
        return LoRATuner(network, load_tokenizer(self.model, self.revision), self.model, lora, about, self.batch_size)

    def tuned(self, folder: str | Path) -> "LocalLM":
        """With the adapter that a run of OracleTuning left."""
        return LocalLM(self.model, str(folder), self.revision, self.dtype, self.batch_size, self.device)

    @cached_property
    def _scorer(self) -> LabelScorer:
        network: Any = load_model(self.model, self.revision, self.dtype, pick_device(self.device))
        if self.adapter is not None:
            network = self._merged(network, find_oracle(self.adapter))
        return LabelScorer(network, load_tokenizer(self.model, self.revision), self.model)

    def _merged(self, network: Any, folder: Path) -> Any:
        """The model with the adapter's update added to its weights: as fast as without."""
        from peft import PeftModel

        if (path := folder / ORACLE_FILE).is_file():
            about = json.loads(path.read_text())
            if about.get("judge") != "LocalLM" or about.get("base") != self.base_identity:
                tuned = about.get("model") or about.get("judge")
                raise UserError(f"{path}: tuned on {tuned}, but the judge is {self.model}; tune this judge anew")
        try:
            return PeftModel.from_pretrained(network, str(folder)).merge_and_unload().eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"adapter {folder} does not fit {self.model}: {str(error).splitlines()[0]}") from error

    def _watch(self, mass: Tensor) -> None:
        """Keep the mean mass on the labels, and warn when it first proves low."""
        before, self._answered = self._answered, self._answered + len(mass)
        self._mass += float(mass.sum())
        if before < ENOUGH_QUESTIONS <= self._answered and self._mass / self._answered < LITTLE_MASS:
            warnings.warn(
                f"{self.model} gives the labels a probability of only {self._mass / self._answered:.2f}: "
                "the model does not answer in the format; tune it",
                stacklevel=3,
            )
