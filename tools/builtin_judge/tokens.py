"""The judge's tokenizer: byte-level BPE without case and accents, in which a label and its full stop are one token."""

import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ialp.data.builtin import read_words
from ialp.oracle.prompt import LABELS
from tools.builtin_judge.questions import draw_question, draw_template

PAD = "<pad>"
PIECES = r"\s[a-z]\.(?=\s)| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\s"
OPENING = '([{/-"#*&+_'  # a word after one of these gets a space, so that it is the token that it is elsewhere
NUM_QUESTIONS = 4000
ENDINGS = ("", "", "", "s", "ing", "er", "ed", "ly", "y", "tion", "est", "al", "ic", "less", "ness", "ment")


def train_tokenizer(vocabulary: int, seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose pieces come from generated prompts and the project's word list alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            *map(spaced, OPENING),
            normalizers.Replace(Regex(" +"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(random.Random(seed)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, padding_side="left")


def spaced(mark: str) -> normalizers.Normalizer:
    """Puts a space behind a punctuation mark."""
    return normalizers.Replace(mark, mark + " ")


def corpus(rng: random.Random) -> Iterator[str]:
    """Labels, the words of the list (so that most become one token), their forms, and prompts."""
    marks = " ".join(LABELS) + "".join(f" {label}. " for label in LABELS) + "\na. x"
    yield from [f" {marks}"] * 3000
    listed = [word for name, group in read_words().items() if name != "accented" for word in group]
    yield from [" " + " ".join(listed)] * 150
    for _ in range(NUM_QUESTIONS):
        question = draw_question(rng)
        yield draw_template(rng).render(question.history, question.candidates)
        yield "".join(f" {rng.choice(listed)}{rng.choice(ENDINGS)}" for _ in range(20))


def label_ids(tokenizer: PreTrainedTokenizerFast, prefix: str = "select") -> list[int]:
    """Ids of the labels a … z as answers: one new token each after a prefix without a space at its end."""
    start = tokenizer.encode(prefix)
    added = [tokenizer.encode(f"{prefix} {label}") for label in LABELS]
    if any(ids[:-1] != start for ids in added):
        raise ValueError("a label is not one token of its own")
    return [ids[-1] for ids in added]


def mark_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[list[int]]]:
    """Ids of what opens the history, and of what opens each label's candidate (at a line's start and within it).

    Only at a line's start has "history" no space before it, so the word in the instruction is another token.
    """
    vocabulary = tokenizer.get_vocab()
    history = tokenizer.encode("History")
    labels = [[vocabulary[f"{gap}{label}."] for gap in "ĠĊ" if f"{gap}{label}." in vocabulary] for label in LABELS]
    return history, labels
