"""Reads the answer from the logits of the label tokens, in one forward pass per batch of prompts."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ialp.errors import UserError
from ialp.oracle.questions import Questions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class LabelScorer:
    """Turns questions into token ids, and those into the logits of the token that follows.

    All questions of a catalogue begin with the same instruction. Its keys and values are computed once and shared: the
    tokens of the template's prefix, as far as real prompts begin with them, for a tokenizer may merge the prefix's end
    with what follows.

    Args:
        model: A causal LM of transformers, with or without a PEFT adapter around it.
        name: Of the model, for error messages.
        batch_tokens: Tokens of a forward pass, padding included, the shared prefix not; None: all prompts in one pass.
        frozen: The weights stay as they are, so that the prefix is computed once and not once per batch.
        reuse_prefix: Whether to share the prefix at all; off, every prompt is read from its first token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        batch_tokens: int | None = None,
        frozen: bool = True,
        reuse_prefix: bool = True,
    ):
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.batch_tokens, self.frozen = batch_tokens, frozen
        self.reuse_prefix = reuse_prefix and not getattr(model, "_is_stateful", False)  # recurrent states cannot be cut
        self._label_ids: dict[tuple[str, ...], Tensor] = {}
        self._prefix: tuple[list[int], Any] = ([], None)

    def encode(self, questions: Questions) -> tuple[list[list[int]], int]:
        """Token ids of every prompt, and how many of the first ones all of them share with the prefix.

        Raises:
            UserError: A prompt is longer than the model's context.
        """
        prompts: list[list[int]] = self.tokenizer(questions.prompts)["input_ids"]
        longest = max(map(len, prompts))
        limit = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30  # some models have no limit
        if longest > limit:
            raise UserError(
                f"a prompt of {longest} tokens does not fit into the {limit} of {self.name}: "
                "lower the log's max_words, the history's length or the number of candidates"
            )
        if not self.reuse_prefix:
            return prompts, 0
        prefix: list[int] = self.tokenizer(questions.template.prefix)["input_ids"]
        shared = min(common_prefix(prefix, prompt) for prompt in prompts)
        return prompts, min(shared, min(map(len, prompts)) - 1)

    def label_ids(self, questions: Questions) -> Tensor:
        """(K + 1,) id of the token that answers each label: encode(prompt + " " + label) without encode(prompt).

        Raises:
            UserError: A label is not exactly one new token, or two labels are the same one.
        """
        labels = tuple(questions.labels)
        if labels not in self._label_ids:
            prompt = questions.prompts[0]
            start = self.tokenizer(prompt)["input_ids"]
            ids: dict[int, str] = {}
            for label in labels:
                whole = self.tokenizer(f"{prompt} {label}")["input_ids"]
                if whole[:-1] != start:
                    raise UserError(f'the tokenizer of {self.name} does not make one token of the label "{label}"')
                if whole[-1] in ids:
                    raise UserError(
                        f'the tokenizer of {self.name} has one token for the labels "{ids[whole[-1]]}" and "{label}"'
                    )
                ids[whole[-1]] = label
            self._label_ids[labels] = torch.tensor(list(ids))
        return self._label_ids[labels]

    def next_token_logits(self, prompts: Sequence[list[int]], shared: int) -> Tensor:
        """(B, V) float32 logits of what follows each prompt, of which the first `shared` tokens are common to all.

        Prompts of like length go through the model together, the longest first, so that memory ends early or never.
        Gradients flow where they are enabled, through the shared prefix as well.
        """
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
        logits, done = [], 0
        while done < len(order):
            longest = len(prompts[order[done]]) - shared
            fits = len(order) if self.batch_tokens is None else max(self.batch_tokens // longest, 1)
            logits.append(self._run_batch([prompts[row] for row in order[done : done + fits]], shared))
            done += fits
        return torch.cat(logits)[torch.tensor(order, device=logits[0].device).argsort()]

    def _run_batch(self, prompts: Sequence[list[int]], shared: int) -> Tensor:
        """(B, V) logits after each prompt, in one forward pass."""
        cache = self._prefix_cache(prompts[0][:shared]) if shared else None
        shared = shared if cache is not None else 0
        ids, mask = pad_left([prompt[shared:] for prompt in prompts], self.model.device)
        position = shared + (mask.cumsum(1) - 1).clamp(min=0)
        mask = torch.cat([mask.new_ones(len(prompts), shared), mask], dim=1)
        cached = {"past_key_values": cache, "use_cache": cache is not None}
        output = self.model(input_ids=ids, attention_mask=mask, position_ids=position, logits_to_keep=1, **cached)
        return output.logits[:, -1].float()

    def _prefix_cache(self, prefix: list[int]) -> Any:
        """Keys and values of the prefix for batches of any size; None where the model's cache cannot be shared."""
        from ialp.oracle.backends.prefix import share

        if self.frozen and self._prefix[0] == prefix:
            return self._prefix[1]
        ids = torch.tensor([prefix], device=self.model.device)
        computed = self.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        cache = share(computed, len(prefix))
        if self.frozen:
            self._prefix = prefix, cache
        return cache


def pad_left(rows: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, L) ids, padded with 0 on the left, and the mask (B, L) that is 0 there."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def label_log_probabilities(logits: Tensor, label_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits (B, V): (B, K + 1) log-probabilities among the labels alone, and (B,) the probability of any label."""
    labels = logits[:, label_ids.to(logits.device)]
    mass = (labels.logsumexp(1) - logits.logsumexp(1)).exp()
    return nn.functional.log_softmax(labels, dim=1), mass
