"""What a judgement costs in four ways, on the same prompts and the same model, in one process and in turns.

    python benchmarks/judge_speed.py                                                        # the built-in model, CPU
    python benchmarks/judge_speed.py --shape mistral7b --device cuda --dtype bfloat16 --batch-tokens 16384

ours      LocalLM's way: the instruction read once, batches sorted by length under a token budget, last logits only
padded    batches in the order of arrival, padded, nothing shared, last logits only; the best of several batch sizes
generate  `generate` of one token, in batches likewise
free      `generate` of up to 16 tokens, one prompt at a time, as a judge is asked that answers in words

The prompts are those of the built-in catalogue with 350 to 550 tokens. `--shape` takes a randomly initialised model of
that shape, made on the device: no weights are needed to time it.
"""

import argparse
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from judgements import draw_questions
from memory import peak_mib
from torch import Tensor

from ialp.data import BuiltinLog
from ialp.oracle import PromptTemplate, Questions
from ialp.oracle.backends.loading import load_model, load_tokenizer
from ialp.oracle.backends.scoring import LabelScorer, label_log_probabilities

TOKENS = range(350, 551)
SHAPES = {
    "mistral7b": {  # Mistral-7B-v0.1
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
    "tiny": {
        "vocab_size": 6144, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
}  # fmt: skip


@dataclass
class Ways:
    """The four ways, each from B questions to their labels' token ids (B,)."""

    model: Any
    tokenizer: Any
    batch_tokens: int

    def __post_init__(self) -> None:
        self.scorer = LabelScorer(self.model, self.tokenizer, "the model", self.batch_tokens)

    def ours(self, questions: Questions) -> Tensor:
        """As `LocalLM.log_probabilities` does it."""
        prompts, shared = self.scorer.encode(questions)
        return self._pick(questions, self.scorer.next_token_logits(prompts, shared))

    def padded(self, questions: Questions, size: int) -> Tensor:
        """Plain batches, last logits only."""
        logits = [self.model(**batch, logits_to_keep=1, use_cache=False).logits[:, -1].float()
                  for batch in self._batches(questions, size)]  # fmt: skip
        return self._pick(questions, torch.cat(logits))

    def generate(self, questions: Questions, size: int, tokens: int = 1) -> Tensor:
        """The first token of what is generated."""
        options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
        written = [self.model.generate(**batch, **options)[:, batch["input_ids"].shape[1]].cpu()
                   for batch in self._batches(questions, size)]  # fmt: skip
        return torch.cat(written)

    def free(self, questions: Questions) -> Tensor:
        """Words, one prompt at a time."""
        return self.generate(questions, 1, tokens=16)

    def _batches(self, questions: Questions, size: int) -> list[dict[str, Tensor]]:
        texts = [questions.prompts[start : start + size] for start in range(0, len(questions), size)]
        encoded = [self.tokenizer(batch, padding=True, return_tensors="pt").to(self.model.device) for batch in texts]
        return [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in encoded]

    def _pick(self, questions: Questions, logits: Tensor) -> Tensor:
        labels = self.scorer.label_ids(questions)
        return labels[label_log_probabilities(logits, labels)[0].argmax(1).cpu()]


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Time all ways in turns, print the figures, and return judgements per second of each."""
    given = parse(arguments)
    torch.set_num_threads(given.threads)
    model = make_model(given)
    tokenizer = load_tokenizer(given.model if given.shape is None else "builtin")
    questions, lengths = fitting_prompts(tokenizer, given.prompts * (given.rounds + 1))
    ways = Ways(model, tokenizer, given.batch_tokens)
    warm_up, *rounds = (rows(questions, start, given.prompts) for start in range(0, len(questions), given.prompts))
    with torch.no_grad():
        sizes = {name: best_size(getattr(ways, name), warm_up, given.sizes) for name in ("padded", "generate")}
        asked: dict[str, Callable[[Questions], Tensor]] = {
            "ours": ways.ours,
            "padded": lambda batch: ways.padded(batch, sizes["padded"]),
            "generate": lambda batch: ways.generate(batch, sizes["generate"]),
            "free": lambda batch: ways.free(rows(batch, 0, given.free)),
        }
        for way in asked.values():
            way(rows(warm_up, 0, 4))
        seconds, agreement = in_turns(asked, rounds, given)
    few = min(given.free, given.prompts)
    rates = {name: [(few if name == "free" else given.prompts) / each for each in seconds[name]] for name in asked}
    print(f"{given.shape or given.model}, {given.dtype}, {given.device}, {given.threads} thread(s); prompts of "
          f"{min(lengths)} to {max(lengths)} tokens, {sum(lengths) / len(lengths):.0f} in the middle; "
          f"{given.rounds} rounds of {given.prompts}, {min(given.free, given.prompts)} for free")  # fmt: skip
    for name in asked:
        ratios = sorted(ours / other for ours, other in zip(rates["ours"], rates[name], strict=True))
        note = f", batches of {sizes[name]}" if name in sizes else ""
        print(f"  {name:<9} {median(rates[name]):9.2f} judgements/s   ours is {median(ratios):5.2f} times as fast "
              f"({ratios[0]:.2f} to {ratios[-1]:.2f}), same answer {agreement[name]:.3f}{note}")  # fmt: skip
    report_work(ways, rounds, seconds["ours"], given)
    return {name: median(values) for name, values in rates.items()}


def in_turns(
    asked: dict[str, Callable[[Questions], Tensor]], rounds: list[Questions], given: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of every way in every round, whose order turns, and the share of answers that equal ours."""
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    same: dict[str, list[float]] = {name: [] for name in asked}
    for turn, batch in enumerate(rounds):
        names = list(asked)
        names = names[turn % len(names) :] + names[: turn % len(names)]
        answers = {}
        for name in names:
            synchronise(given.device)
            start = time.perf_counter()
            answers[name] = asked[name](batch)
            synchronise(given.device)
            seconds[name].append(time.perf_counter() - start)
        for name, answer in answers.items():
            same[name].append(float((answer == answers["ours"][: len(answer)]).float().mean()))
    return seconds, {name: sum(values) / len(values) for name, values in same.items()}


def best_size(way: Callable[[Questions, int], Tensor], questions: Questions, sizes: list[int]) -> int:
    """The batch size with which a way is fastest, each tried twice."""

    def cost(size: int) -> float:
        tried = []
        for _ in range(2):
            start = time.perf_counter()
            way(questions, size).cpu()
            tried.append(time.perf_counter() - start)
        return min(tried)

    return min((size for size in sizes if size <= len(questions)), key=cost, default=len(questions))


def report_work(ways: Ways, rounds: list[Questions], seconds: list[float], given: argparse.Namespace) -> None:
    """Floating-point work of ours against what a large matrix product reaches, and the peak memory."""
    if given.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        ways.ours(rounds[0])
        memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB on the card"
    else:
        memory = f"{peak_mib(resource.getrusage(resource.RUSAGE_SELF)):.0f} MiB, of all ways together"
    rate = matmul_rate(given.device, getattr(torch, given.dtype))
    shared_work = whole_work = 0.0
    for batch in rounds:
        prompts, shared = ways.scorer.encode(batch)
        shared_work += sum(work(ways.model, len(prompt), shared) for prompt in prompts)
        whole_work += sum(work(ways.model, len(prompt), 0) for prompt in prompts)
    ours, alone = shared_work / sum(seconds), whole_work / sum(seconds)
    print(f"  a large matrix product reaches {rate / 1e12:.3g} TFLOP/s; ours computes {ours / 1e12:.3g}")
    print(f"  ({ours / rate:.0%}), and answers as if {alone / 1e12:.3g} ({alone / rate:.0%}) without the shared prefix")
    print(f"  peak memory {memory}")


def work(model: Any, length: int, shared: int) -> float:
    """Floating-point operations of a prompt: 2 per parameter and token, attention, and the head at the last token."""
    config = model.config
    embedding = model.get_input_embeddings().weight.numel()
    head = model.get_output_embeddings().weight
    tied = head is model.get_input_embeddings().weight
    body = sum(p.numel() for p in model.parameters()) - embedding - (0 if tied else head.numel())
    width = config.num_attention_heads * config.head_dim * config.num_hidden_layers
    pairs = (length * (length + 1) - shared * (shared + 1)) / 2  # of a token and one that it sees
    return 2 * body * (length - shared) + 4 * width * pairs + 2 * head.numel()


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product, the best of five."""
    size = 8192 if device.startswith("cuda") else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(6):  # the first warms up
        synchronise(device)
        start = time.perf_counter()
        torch.matmul(left, right)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def make_model(given: argparse.Namespace) -> Any:
    """The model by name, or random weights of a shape, made where they are used."""
    if given.shape is None:
        return load_model(given.model, None, given.dtype, given.device)
    from transformers import MistralConfig, MistralForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, given.dtype))
    try:
        with torch.device(given.device):
            return MistralForCausalLM(MistralConfig(**SHAPES[given.shape], eos_token_id=None)).eval()
    finally:
        torch.set_default_dtype(before)


def fitting_prompts(tokenizer: Any, count: int) -> tuple[Questions, list[int]]:
    """`count` questions of the built-in catalogue whose prompts have 350 to 550 tokens, and these numbers."""
    log = BuiltinLog().load()
    template = PromptTemplate(log.words.scenario, log.words.item, log.words.behavior, log.attribute_names)
    drawn = [torch.cat(part) for part in zip(*draw_questions(log, template, 4 * count), strict=True)]
    questions = Questions.from_items(template, log.catalogue.texts, *drawn)
    lengths = [len(ids) for ids in tokenizer(questions.prompts)["input_ids"]]
    kept = [row for row, length in enumerate(lengths) if length in TOKENS][:count]
    if len(kept) < count:
        raise SystemExit(f"only {len(kept)} of {len(lengths)} prompts have {TOKENS.start} to {TOKENS.stop - 1} tokens")
    return questions.select(kept), [lengths[row] for row in kept]


def rows(questions: Questions, start: int, count: int) -> Questions:
    """`count` questions from `start` on."""
    return questions.select(range(start, min(start + count, len(questions))))


def synchronise(device: str) -> None:
    """Wait until a GPU is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin", help='a folder, a model of the hub, or "builtin" (the default)')
    parser.add_argument("--shape", choices=SHAPES, help="random weights of this shape instead")
    parser.add_argument("--device", default="cpu", help="(default: cpu)")
    parser.add_argument("--dtype", default="float32", help="of the weights (default: float32)")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)), help="of torch")
    parser.add_argument("--prompts", type=int, default=64, help="in a round (default: 64)")
    parser.add_argument("--free", type=int, default=8, help="in a round, for free generation (default: 8)")
    parser.add_argument("--rounds", type=int, default=8, help="(default: 8)")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="of ours (default: 2048)")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="batch sizes that the others try"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
