"""Trains the built-in judge on generated questions: `python -m tools.builtin_judge.train --work FOLDER`.

Seed, steps and code decide the data and their order. A run that was stopped goes on from the state in its work folder
(with fresh questions from there on). Every `--report` steps the model is scored on held-out questions and written.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from ialp.oracle.builtin import MODEL_FOLDER
from ialp.oracle.prompt import DEFAULT_TEMPLATE
from tools.builtin_judge.circuit import LAYERS, WIDTH, build_model
from tools.builtin_judge.questions import Question, draw_question, draw_template
from tools.builtin_judge.tokens import label_ids, mark_ids, train_tokenizer

VOCABULARY = 6144
TOKENS_PER_BATCH = 4000
POOL = 256  # questions drawn at once and sorted by length
FULL_SHARE = 0.15  # of the prompts have the whole instruction; the others are a third cheaper
BARE = DEFAULT_TEMPLATE.with_name("bare.txt")
HELD_OUT = 1_000_000_007  # seed of the questions that the scores are taken on
SIDE_WEIGHT = 0.3


class Batch:
    """Tokenised prompts of similar length, padded on the right: causal attention never looks there.

    Attributes:
        tokens: (B, T) ids.
        last: (B,) place of the last token of each prompt.
        answer: (B,) index of the right label.
        number: (B,) candidates of each prompt.
        ends: (B, K) place of the mark that follows each candidate ("b." follows a).
    """

    def __init__(self, questions: list[Question], prompts: list[list[int]], marks: Tensor):
        self.tokens = nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        self.last = torch.tensor([len(prompt) - 1 for prompt in prompts])
        self.answer = torch.tensor([question.answer for question in questions])
        self.number = torch.tensor([len(question.candidates) for question in questions])
        self.ends = candidate_ends(self.tokens, marks, int(self.number.max()))


def candidate_ends(tokens: Tensor, marks: Tensor, number: int) -> Tensor:
    """(B, K): where the next label's mark stands for the last time in the prompt; 0 where there is none."""
    label, place = marks[tokens], torch.arange(tokens.shape[1])  # (B, T) the label that a token marks, or -1; (T,)
    return torch.stack([((label == candidate + 1) * place).max(1).values for candidate in range(number)], dim=1)


def batches(tokenizer: PreTrainedTokenizerFast, rng: random.Random, full_share: float) -> Iterator[Batch]:
    """Endless batches of about TOKENS_PER_BATCH tokens."""
    marks = torch.full((len(tokenizer),), -1)
    for number, ids in enumerate(mark_ids(tokenizer)[1]):
        marks[ids] = number
    while True:
        pool = [draw_question(rng) for _ in range(POOL)]
        paths = [None if rng.random() < full_share else str(BARE) for _ in pool]
        texts = [draw_template(rng, path).render(q.history, q.candidates) for q, path in zip(pool, paths, strict=True)]
        prompts = tokenizer(texts)["input_ids"]
        chunks = chunk([len(prompt) for prompt in prompts])
        rng.shuffle(chunks)
        for indexes in chunks:
            yield Batch([pool[index] for index in indexes], [prompts[index] for index in indexes], marks)


def chunk(lengths: list[int]) -> list[list[int]]:
    """Indexes sorted by length and cut where a padded batch would exceed TOKENS_PER_BATCH."""
    chunks: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if chunks[-1] and (len(chunks[-1]) + 1) * lengths[index] > TOKENS_PER_BATCH:
            chunks.append([])
        chunks[-1].append(index)
    return chunks


class Judge(nn.Module):
    """The language model and, for training only, a scorer of each candidate at the place where it ends."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int):
        super().__init__()
        self.model = build_model(tokenizer, seed)
        self.side = nn.Linear(WIDTH, 1)
        self.labels = torch.tensor(label_ids(tokenizer))

    def losses(self, batch: Batch) -> Tensor:
        """(3,) cross-entropy of the label, that of the side scorer, and the share of right answers."""
        output = self.model.model(input_ids=batch.tokens, use_cache=False, output_hidden_states=True)
        rows = torch.arange(len(batch.tokens))
        logits = output.last_hidden_state[rows, batch.last] @ self.model.get_input_embeddings().weight.T  # (B, V)
        label_loss = nn.functional.cross_entropy(logits, self.labels[batch.answer])
        right = (logits[:, self.labels].argmax(1) == batch.answer).float().mean()
        read_by_last_layer = output.hidden_states[LAYERS - 1]  # (B, T, D)
        return torch.stack([label_loss, self.side_loss(read_by_last_layer, batch), right])

    def side_loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy over the candidates' scores; None scores 0."""
        scores = self.side(hidden[torch.arange(len(hidden))[:, None], batch.ends]).squeeze(2)  # (B, K)
        absent = torch.arange(scores.shape[1]) >= batch.number[:, None]
        scores = nn.functional.pad(scores.masked_fill(absent, -math.inf), (0, 1))  # (B, K + 1)
        goal = torch.where(batch.answer < batch.number, batch.answer, scores.shape[1] - 1)
        return nn.functional.cross_entropy(scores, goal)

    @torch.no_grad()
    def held_out_score(self, tokenizer: PreTrainedTokenizerFast, number: int = 12) -> str:
        """Losses and accuracy on questions with the whole instruction that training never sees."""
        stream = batches(tokenizer, random.Random(HELD_OUT), full_share=1)
        means = torch.stack([self.losses(next(stream)) for _ in range(number)]).mean(0)
        return "held out: loss {:.3f}, side loss {:.3f}, right {:.3f}".format(*means.tolist())


def rate_at(step: int, steps: int, peak: float) -> float:
    """Learning rate: 50 steps of warm-up, then a cosine to a fiftieth."""
    return peak * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1, step / steps))) / 2)


def train(out: Path, work: Path, steps: int, peak: float, seed: int, report: int) -> None:
    """The whole recipe: tokenizer, hand-written start, training."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "tokenizer.json").exists():
        train_tokenizer(VOCABULARY, seed).save_pretrained(work)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work)
    judge = Judge(tokenizer, seed)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    first = resume(judge, optimizer, work / "state.pt")
    stream, started = batches(tokenizer, random.Random(f"{seed}-{first}"), FULL_SHARE), time.time()
    recent = torch.zeros(3)
    for step in range(first, steps + 1):
        if step % report == 0 or step == steps:
            score, means = (
                judge.held_out_score(tokenizer),
                " ".join(f"{mean:.3f}" for mean in (recent / report).tolist()),
            )
            print(f"step {step} · {time.time() - started:.0f} s · training {means} · {score}", flush=True)
            state = {"judge": judge.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, work / "state.pt")
            judge.model.save_pretrained(out)
            tokenizer.save_pretrained(out)
            recent = torch.zeros(3)
        losses = judge.losses(next(stream))
        optimizer.param_groups[0]["lr"] = rate_at(step, steps, peak)
        optimizer.zero_grad()
        (losses[0] + SIDE_WEIGHT * losses[1]).backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        recent += losses.detach()


def resume(judge: Judge, optimizer: torch.optim.Optimizer, path: Path) -> int:
    """Loads the state, if there is one; the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    judge.load_state_dict(state["judge"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the state to resume from")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="folder of the model")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--peak", type=float, default=5e-4, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=int, default=75, help="score and save every so many steps")
    train(**vars(parser.parse_args()))
