"""A language model under a LoRA adapter, trained to answer with the right label."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FILE, LoRA, Tuner
from ialp.oracle.backends.scoring import LabelScorer, label_log_probabilities
from ialp.oracle.questions import Questions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LoRATuner(Tuner):
    """Cross-entropy of the label's token over the whole vocabulary, at the prompt's last position.

    Over the whole vocabulary, because the format of the answer is to be learnt, too.

    Args:
        network: The base model; its own weights stay as they are.
        tokenizer: Its tokenizer.
        name: Of the model, for error messages.
        lora: Which adapters to add.
        about: What `oracle.json` says about the base model.
        batch_size: Prompts per forward pass.
    """

    def __init__(
        self,
        network: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        lora: LoRA,
        about: dict[str, Any],
        batch_size: int,
    ):
        super().__init__()
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides by the rank: a float is as good
            lora_dropout=lora.dropout,
            target_modules=lora.target_modules,
            modules_to_save=lora.modules_to_save,
            task_type="CAUSAL_LM",
        )
        try:
            self.network = get_peft_model(network, config).train()
        except ValueError as error:
            raise UserError(f"LoRA does not fit {name}: {str(error).splitlines()[0]}") from error
        self.about = about
        self.batch_size = batch_size
        self.scorer = LabelScorer(self.network, tokenizer, name, frozen=False)

    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of answer (B,), and the labels' log-probabilities (B, K + 1)."""
        prompts, shared = self.scorer.encode(questions)
        label_ids = self.scorer.label_ids(questions).to(answer.device)
        logits = self.scorer.next_token_logits(prompts, shared, self.batch_size)  # (B, V)
        loss = nn.functional.cross_entropy(logits, label_ids[answer])
        return loss, label_log_probabilities(logits.detach(), label_ids)[0]

    def save(self, folder: Path) -> None:
        """The adapter in PEFT's format, and oracle.json."""
        self.network.save_pretrained(str(folder))
        (folder / ORACLE_FILE).write_text(json.dumps(self.about, indent=2) + "\n")
