"""The judge's first weights: a transformer that can already match words, so that training only has to refine it.

A transformer finds "the same word stood in the history" by itself, but only after many millions of prompts. Here the
residual stream is divided into named dimensions and a few heads are written by hand:

* layer 0: a head per offset copies the words one and two places back; another tells every token whether it stands in
  the history or behind which label, by attending to the nearest mark ("history", " a.", " b." …);
* layer 1: one head attends from each word to the same word in the history, one to the same pair of words; what they
  write is how much of the attention landed there;
* the last layer: the final token attends to the words that matched, or else to "none", and writes their label.

All other weights start small and random, nothing is frozen. The rotary base is so large that most rotary dimensions
stand still over a prompt: those compare words, the fast ones compare places.
"""

import math

import torch
from torch import Tensor, nn
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer

from ialp.oracle.prompt import LABELS
from tools.builtin_judge.tokens import label_ids, mark_ids

WIDTH, HEADS, HEAD_DIM, LAYERS, INNER = 192, 4, 64, 4, 256
ROPE_BASE = 1e10
PAIRS = HEAD_DIM // 2
FREQUENCIES = [ROPE_BASE ** (-pair / PAIRS) for pair in range(PAIRS)]
SLOW = 10  # rotary pairs from here on turn by less than half a radian over 500 tokens
FLAG = PAIRS - 1  # the slowest pair carries flags

CONST, MARK, WORD, MATCH, PAIR_MATCH, HISTORY = 0, 1, 2, 3, 4, 8  # dimensions of the residual stream
LABEL = slice(9, 35)
BEFORE = slice(40, 88)  # words one and two places back
CONTENT = slice(88, WIDTH)  # the word itself


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> MistralForCausalLM:
    """A Mistral of 2.6 M parameters whose heads already match words."""
    torch.manual_seed(seed)
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=HEAD_DIM,
            max_position_embeddings=4096,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
            sliding_window=None,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():
        write_embeddings(model.model.embed_tokens.weight, tokenizer)
        layers = model.model.layers
        write_offset(Head(layers[0], 0), offset=1, strength=1.2)
        write_offset(Head(layers[0], 2), offset=2, strength=0.6)
        write_segment(Head(layers[0], 1))
        write_match(Head(layers[1], 0), slice(CONTENT.start, CONTENT.stop), MATCH, strength=2.7)
        write_match(Head(layers[1], 1), slice(BEFORE.start, CONTENT.stop), PAIR_MATCH, strength=2.3)
        write_answer(Head(layers[-1], 0), model.model.embed_tokens.weight, tokenizer)
    return model


class Head:
    """The slices of one head in a layer's projections, emptied."""

    def __init__(self, layer: MistralDecoderLayer, index: int):
        rows = slice(index * HEAD_DIM, (index + 1) * HEAD_DIM)
        attention = layer.self_attn
        self.query, self.key, self.value = (
            projection.weight[rows] for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )  # (64, D) each
        self.output = attention.o_proj.weight[:, rows]  # (D, 64)
        for weight in (self.query, self.key, self.value, self.output):
            weight.mul_(0.1)


def write_embeddings(table: Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """(V, D): a random vector per word, a constant, a flag for words, flags for the marks."""
    table.mul_(0.3)
    table[:, CONTENT] = torch.randn(len(table), CONTENT.stop - CONTENT.start) / math.sqrt(CONTENT.stop - CONTENT.start)
    table[:, CONST] = 0.6
    for token, index in tokenizer.get_vocab().items():
        if any(char.isalpha() and ord(char) < 256 for char in token.strip("ĠĊ")):
            table[index, WORD] = 0.5
    history, labels = mark_ids(tokenizer)
    table[history, HISTORY] = table[history, MARK] = 1
    for number, ids in enumerate(labels):
        table[ids, LABEL.start + number] = 1
        table[ids, MARK] = 1


def write_offset(head: Head, offset: int, strength: float) -> None:
    """Attends to the token `offset` places back and copies its word."""
    for pair, amplitude in enumerate((16, 10, 6, 4)):
        size, angle = math.sqrt(8 * amplitude) / 6.5, offset * FREQUENCIES[pair]
        head.query[pair, CONST] = size
        head.key[pair, CONST], head.key[pair + PAIRS, CONST] = size * math.cos(angle), size * math.sin(angle)
    width = BEFORE.stop - BEFORE.start
    head.value[:width, CONTENT] = orthogonal(width, CONTENT.stop - CONTENT.start) / 11
    head.output[BEFORE, :width] = strength * torch.eye(width)


def write_segment(head: Head) -> None:
    """Attends to the nearest mark before a token and copies its flags."""
    for pair, amplitude in {FLAG: 20, 3: 3, 4: 5, 5: 6, 6: 8}.items():
        head.query[pair, CONST] = math.sqrt(8 * amplitude) / 6.5
        head.key[pair, MARK] = math.sqrt(8 * amplitude) / 7.3
    width = LABEL.stop - HISTORY
    head.value[:width, HISTORY : LABEL.stop] = torch.eye(width) / 7.3
    head.output[HISTORY : LABEL.stop, :width] = torch.eye(width)


def write_match(head: Head, dims: slice, target: int, strength: float) -> None:
    """Attends to the same content in the history and writes how much it found there."""
    rows = [*range(SLOW, FLAG), *range(SLOW + PAIRS, FLAG + PAIRS)]
    compare = strength * orthogonal(len(rows), dims.stop - dims.start)
    for weight in (head.query, head.key):
        weight[rows] = 0
        weight[rows, dims] = compare
    head.query[FLAG, CONST], head.key[FLAG, HISTORY] = 0.7, 0.7
    head.value[0] = 0
    head.value[0, HISTORY] = 1 / 7.5
    head.output[target, 0] = 1


def write_answer(head: Head, table: Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Attends to words that matched, else to "none", and writes the label of where they stand."""
    head.query[FLAG, CONST] = 2.2
    key = head.key[FLAG]
    key[[MATCH, PAIR_MATCH, WORD, HISTORY]] = torch.tensor([6.0, 6.0, 4.0, -10.0]) / 6.2
    none = tokenizer.encode("x None")[-1]
    key[CONTENT] += 3.5 / 6.2 * table[none, CONTENT]
    width = len(LABELS)
    head.value[:width, LABEL] = torch.eye(width) / 6.2
    head.output[CONTENT, :width] = 4 * table[label_ids(tokenizer), CONTENT].T


def orthogonal(rows: int, columns: int) -> Tensor:
    """(rows, columns) random orthonormal rows."""
    return nn.init.orthogonal_(torch.empty(rows, columns))
