"""A language model under a LoRA adapter, trained to answer with the right label."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from ialp.errors import UserError
from ialp.oracle.backends.base import LoRA, Tuner, save_about
from ialp.oracle.backends.scoring import LabelScorer, label_log_probabilities
from ialp.oracle.questions import Questions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LoRATuner(Tuner):
    """Cross-entropy of the label's token, at the prompt's last position.

    It goes over the whole vocabulary, because the format of the answer is to be learnt, too. `name` is the model's, for
    error messages, `about` what `oracle.json` says of it; `checkpointing` computes layers again on the way back.
    """

    def __init__(
        self,
        network: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        lora: LoRA,
        about: dict[str, Any],
        checkpointing: bool = False,
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
            self.network = get_peft_model(prepared(network, checkpointing), config).train()
        except ValueError as error:
            raise UserError(f"LoRA does not fit {name}: {str(error).splitlines()[0]}") from error
        self.about = about
        # A checkpointed layer keeps no keys and values, and so there is no prefix to share.
        self.scorer = LabelScorer(self.network, tokenizer, name, frozen=False, reuse_prefix=not checkpointing)

    @override
    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        prompts, shared = self.scorer.encode(questions)
        label_ids = self.scorer.label_ids(questions).to(answer.device)
        logits = self.scorer.next_token_logits(prompts, shared)  # (B, V)
        loss = nn.functional.cross_entropy(logits, label_ids[answer])
        return loss, label_log_probabilities(logits.detach(), label_ids)[0]

    @override
    def save(self, folder: Path) -> None:
        self.network.save_pretrained(str(folder))
        save_about(folder, self.about)


def prepared(network: Any, checkpointing: bool) -> Any:
    """The base model, made ready to carry gradients where it is quantised or its layers are to forget."""
    how = {"use_reentrant": False}
    if getattr(network, "is_loaded_in_4bit", False):
        from peft import prepare_model_for_kbit_training

        return prepare_model_for_kbit_training(network, checkpointing, how)
    if checkpointing:
        network.gradient_checkpointing_enable(how)
    return network
