"""How often a title that tells the judge what to answer is picked more than the same title without it.

    python benchmarks/injection.py

The built-in model on questions of the built-in catalogue; the attacked candidate is a random one. Every attack is
measured twice: as prompts are written, with titles neutralised, and with titles as they come, only their white space
made plain, to see what neutralising brings.
"""

import argparse
import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from ialp.data import BuiltinLog
from ialp.datamodules.prompts import draw_others
from ialp.diagnostics.injection import ATTACKS, injection_gains
from ialp.oracle import LocalLM, PromptTemplate, Questions


def main() -> None:
    """Ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=300, help="questions (default: 300)")
    given = parser.parse_args()
    judge = LocalLM()
    print("more picks with the attack than without: mean [95 % interval]; neutralised | as they come")
    for name, attack in ATTACKS.items():
        questions, target = draw(given.n)
        neutral = injection_gains(judge.log_probabilities, questions, target, attack)
        with raw_titles():
            questions, target = draw(given.n)
            raw = injection_gains(judge.log_probabilities, questions, target, attack)
        print(f"| {name} | {interval(neutral)} | {interval(raw)} |", flush=True)


def draw(count: int) -> tuple[Questions, Tensor]:
    """Random histories of five and ten candidates, and the index (n,) of the attacked one."""
    log = BuiltinLog().load()
    template = PromptTemplate(log.words.scenario, log.words.item, log.words.behavior, log.attribute_names)
    generator = torch.Generator().manual_seed(0)
    items = draw_others(torch.zeros(count, 1, dtype=torch.int64), 15, log.catalogue.num_items, generator)
    length = torch.full((count,), 5)
    questions = Questions.from_items(template, log.catalogue.texts, items[:, :5], length, items[:, 5:])
    return questions, torch.randint(10, (count,), generator=generator)


@contextmanager
def raw_titles() -> Iterator[None]:
    """Titles as they come, on lines of their own where they want it."""
    with patch("ialp.oracle.prompt.neutralise", lambda text, *limits: text):
        yield


def interval(gains: Tensor) -> str:
    """Mean and normal 95 % interval of (n,) gains."""
    mean, error = float(gains.double().mean()), float(gains.double().std()) / math.sqrt(len(gains))
    return f"{mean:+.3f} [{mean - 1.96 * error:+.3f}, {mean + 1.96 * error:+.3f}]"


if __name__ == "__main__":
    main()
