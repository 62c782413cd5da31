"""How often a tuned judge with weights in bfloat16 answers what it answers with float32, and how fast each is.

    python benchmarks/half_precision.py runs/lfm_oracle/* runs/industry_oracle/*

The held-out questions of each oracle run, half with the true next item among the candidates and half without it.
"""

import argparse
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from ialp.oracle import Questions, load_judge
from ialp.runs.data import RunData
from ialp.runs.open import data_module

BATCH = 50  # questions at once, as the users of a step


def main() -> None:
    """Ask, and print a line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of finished oracle runs")
    for folder in parser.parse_args().runs:
        run = RunData(Path(folder))
        data = data_module(run, None)
        data.setup()
        questions = [each.questions for each in data.held_out_questions()]
        described = run.config["model"]["init_args"]["judge"]
        answers, rates = [], []
        for dtype in ("float32", "bfloat16"):
            given = {**described, "init_args": {**described["init_args"], "dtype": dtype}}
            log_probabilities, rate = ask(load_judge(given, adapter=run.folder), questions)
            answers.append(log_probabilities)
            rates.append(rate)
        same = (answers[0].argmax(1) == answers[1].argmax(1)).double().mean()
        apart = (answers[0].exp() - answers[1].exp()).abs().sum(1).mean() / 2
        print(
            f"{run.name}: {len(answers[0])} questions, same answer {same:.3f}, total variation {apart:.4f}, "
            f"questions per second {rates[0]:.1f} and {rates[1]:.1f}",
            flush=True,
        )


def ask(judge, questions: list[Questions]) -> tuple[Tensor, float]:  # type: ignore[no-untyped-def]
    """(n, K + 1) log-probabilities, and questions per second after the first."""
    judge.log_probabilities(questions[0].select(range(1)))  # loads the model
    rows = [
        each.select(range(at, min(at + BATCH, len(each)))) for each in questions for at in range(0, len(each), BATCH)
    ]
    start = perf_counter()
    answers = torch.cat([judge.log_probabilities(batch) for batch in rows])
    return answers, len(answers) / (perf_counter() - start)


if __name__ == "__main__":
    main()
