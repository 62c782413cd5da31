# ruff: noqa: E402
"""What 10,000 judgements of the built-in model cost: from the process's start to its end, imports and loading included.

The questions are those of the built-in catalogue: ten candidates, histories of up to ten tracks. They go the way of
pre-training, 50 at a time through the oracle, its shuffling and an empty cache on disk. See README.md beside this file.
"""

import time

START = time.perf_counter()  # before the imports, which are part of what a user waits for

import argparse
import os
import resource
import tempfile
from pathlib import Path

import torch
from memory import peak_mib
from torch import Tensor

from ialp.data import BuiltinLog, Log
from ialp.datamodules.prompts import draw_others, histories, new_items
from ialp.oracle import JudgementCache, LocalLM, Oracle, PromptTemplate, Questions
from ialp.oracle.backends.loading import load_tokenizer

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
USERS = 50


def main() -> None:
    """Ask, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000, help="judgements (default: 10000)")
    parser.add_argument("--threads", type=int, default=CORES, help=f"of torch (default: {CORES})")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="tokens of a forward pass (default: 2048)")
    parser.add_argument("--dtype", default="float32", help="of the weights (default: float32)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    log = BuiltinLog().load()
    template = PromptTemplate(log.words.scenario, log.words.item, log.words.behavior, log.attribute_names)
    judge = LocalLM(dtype=arguments.dtype, batch_tokens=arguments.batch_tokens)
    with tempfile.TemporaryDirectory() as folder:
        oracle = Oracle(judge, JudgementCache(Path(folder) / "judgements.sqlite"), template, log.catalogue)
        batches = draw_questions(log, template, arguments.n)
        ready = time.perf_counter()
        for batch in batches:
            oracle.judge(*batch)
        end = time.perf_counter()
    tokens = mean_tokens(Questions.from_items(template, log.catalogue.texts, *batches[0]))
    print(f"{judge.name} on the built-in catalogue, prompts of {tokens:.0f} tokens")
    print(f"  judgements         {oracle.asked:>8,}   {oracle.hits} repeats besides")
    print(f"  seconds            {end - START:8.1f}   whole process; before the first question: {ready - START:.1f}")
    rate, rate_after_start = oracle.asked / (end - START), oracle.asked / (end - ready)
    print(f"  per second         {rate:8.1f}   without the start: {rate_after_start:.1f}")
    print(f"  cores in use       {time.process_time() / (end - START):8.2f}   of {arguments.threads} threads")
    print(f"  peak memory, MiB   {peak_mib(resource.getrusage(resource.RUSAGE_SELF)):8.0f}")


def draw_questions(log: Log, template: PromptTemplate, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches of history (B, T), length (B,) and ten candidates (B, 10), the true next item among them."""
    generator = torch.Generator().manual_seed(0)
    rows = new_items(log.train)
    rows = rows[torch.randint(len(rows), (count,), generator=generator)]
    history, length, following = histories(log.train, rows, template.max_history)
    taken = torch.cat([history, following[:, None]], dim=1)
    others = draw_others(taken, 9, log.catalogue.num_items, generator)
    candidates = torch.cat([following[:, None], others], dim=1)  # the oracle shuffles them
    return list(zip(history.split(USERS), length.split(USERS), candidates.split(USERS), strict=True))


def mean_tokens(questions: Questions) -> float:
    """Length of the prompts."""
    lengths = [len(ids) for ids in load_tokenizer("builtin")(questions.prompts)["input_ids"]]
    return sum(lengths) / len(lengths)


if __name__ == "__main__":
    main()
