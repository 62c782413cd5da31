"""A causal language model on this machine, with or without a LoRA adapter."""

import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FILE, JudgeBackend, LoRA, Tuner, find_oracle, hash_of
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
        adapter: A run folder of OracleTuning, or a folder with a PEFT adapter. It is merged into the weights, which
            then take no more time than without; beside weights of 4 bits it stays a layer of its own.
        revision: Branch, tag or commit of a hub model.
        dtype: Of the weights: float32, bfloat16 or float16.
        quantization: "nf4" packs the linear layers' weights into 4 bits (bitsandbytes, on a GPU; products in `dtype`).
        batch_tokens: Tokens of a forward pass, padding included; the instruction, computed once, does not count.
            Few are fastest on a CPU, where they stay in its cache; a GPU wants 16,000 and more.
        checkpointing: Tuning keeps the layers' inputs alone and computes the rest twice: a third slower, and
            a fraction of the memory.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
    """

    def __init__(
        self,
        model: str = BUILTIN,
        adapter: str | None = None,
        revision: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        quantization: Literal["none", "nf4"] = "none",
        batch_tokens: int = 2048,
        checkpointing: bool = False,
        device: str = "auto",
    ):
        if batch_tokens < 1:
            raise UserError(f"judge.batch_tokens is {batch_tokens}: it must be at least 1")
        self.model, self.adapter, self.revision = model, adapter, revision
        self.dtype, self.quantization, self.device = dtype, quantization, device
        self.batch_tokens, self.checkpointing = batch_tokens, checkpointing

    @property
    @override
    def name(self) -> str:
        weights = self.dtype if self.quantization == "none" else f"{self.quantization}, {self.dtype}"
        return f"{self.model} ({weights}{', tuned' if self.adapter else ''})"

    @cached_property
    @override
    def fingerprint(self) -> str:
        # Without batches and device: they change an answer's last digits at most.
        adapter = hash_folder(find_oracle(self.adapter)) if self.adapter else None
        return hash_of("LocalLM", self.base_identity, adapter, self.dtype, self.quantization)

    @cached_property
    def base_identity(self) -> str:
        """Hash of the model without the adapter."""
        return identity(self.model, self.revision)

    @override
    def release(self) -> None:
        self.__dict__.pop("_scorer", None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.no_grad()
    @override
    def log_probabilities(self, questions: Questions) -> Tensor:
        prompts, shared = self._scorer.encode(questions)
        label_ids = self._scorer.label_ids(questions)
        try:
            logits = self._scorer.next_token_logits(prompts, shared)
        except torch.OutOfMemoryError:
            raise UserError(f"judge {self.model}: the GPU's memory does not suffice for judge.batch_tokens = "
                            f"{self.batch_tokens}: lower it") from None  # fmt: skip
        log_probabilities, mass = label_log_probabilities(logits, label_ids)
        self._watch(mass)
        return log_probabilities.cpu()

    @override
    def tuner(self, lora: LoRA) -> Tuner:
        if self.adapter is not None:  # what is tuned on top of it would not load without it
            raise UserError(f"judge {self.model} has the adapter {self.adapter} already: tune it without")
        place = "cpu" if self.quantization == "none" else pick_device(self.device)  # from there the trainer moves it
        network = load_model(self.model, self.revision, self.dtype, place, self.quantization)
        about = {"judge": "LocalLM", "model": self.model, "base": self.base_identity, "dtype": self.dtype}
        about |= {"quantization": self.quantization}
        tokenizer = load_tokenizer(self.model, self.revision)
        return LoRATuner(network, tokenizer, self.model, lora, about, self.checkpointing)

    @cached_property
    def _scorer(self) -> LabelScorer:
        device = pick_device(self.device)
        network: Any = load_model(self.model, self.revision, self.dtype, device, self.quantization)
        if self.adapter is not None:
            network = self._adapted(network, find_oracle(self.adapter))
        return LabelScorer(network, load_tokenizer(self.model, self.revision), self.model, self.batch_tokens)

    def _adapted(self, network: Any, folder: Path) -> Any:
        """The model with the adapter's update added to its weights, or beside them where these have 4 bits."""
        from peft import PeftModel

        if (path := folder / ORACLE_FILE).is_file():
            about = json.loads(path.read_text())
            if about.get("judge") != "LocalLM" or about.get("base") != self.base_identity:
                tuned = about.get("model") or about.get("judge")
                raise UserError(f"{path}: tuned on {tuned}, but the judge is {self.model}; tune this judge anew")
        try:
            # Without weights drawn at random, which the file would replace: a judge takes nothing of torch's chance.
            adapted: Any = PeftModel.from_pretrained(network, str(folder), low_cpu_mem_usage=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"adapter {folder} does not fit {self.model}: {str(error).splitlines()[0]}") from error
        return (adapted.merge_and_unload() if self.quantization == "none" else adapted).eval()

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
