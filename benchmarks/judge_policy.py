"""What a judge is worth as a policy of its own: its pick among 100 random items, acted out in the world.

    python benchmarks/judge_policy.py runs/lfm_oracle/… runs/lfm_reward/…
    python benchmarks/judge_policy.py runs/lfm_oracle/… runs/lfm_reward/… --lexical

A judge is asked about ten items at a time: ten winners of ten questions each meet in an eleventh. None is no way out
here; where the judge says so, its best candidate is shown all the same. R / Len / R_avg with 95 % bootstrap intervals
over the episodes, beside the word-overlap rule with --lexical.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ialp.data import Log
from ialp.envs.episodes import Choose, run_episodes
from ialp.experiment.evaluate import intervals
from ialp.masking import allowed_items
from ialp.oracle import JudgementCache, LexicalOracle, Oracle, PromptTemplate, load_judge
from ialp.runs.data import RunData
from ialp.runs.open import open_world
from ialp.types import History

GROUP = 10  # the paper's number of candidates


def pick_among_random(oracle: Oracle, num_items: int, groups: int, seed: int) -> Choose:
    """The winner of `groups` questions with ten random items each, none of them shown before."""
    generator = torch.Generator().manual_seed(seed)

    def winners(items: Tensor, length: Tensor, candidates: Tensor) -> Tensor:
        answers = oracle.judge(items, length, candidates).log_probabilities[:, :-1]
        return candidates.gather(1, answers.argmax(1, keepdim=True)).squeeze(1)

    def choose(history: History) -> Tensor:
        items, length = history.items, history.length
        chance = torch.rand(len(items), num_items + 1, generator=generator)
        chance = chance.masked_fill(~allowed_items(items, length, num_items + 1), -1)
        drawn = chance.topk(groups * GROUP).indices.view(-1, GROUP)  # (A · groups, 10)
        of_group = [each.repeat_interleave(groups, 0) for each in (items, length)]
        return winners(items, length, winners(*of_group, drawn).view(-1, groups))

    return choose


def judge_of(run: RunData, log: Log, lexical: bool) -> Oracle:
    """The judge that an oracle run has tuned, or the word-overlap rule."""
    judge: Any = LexicalOracle() if lexical else run.config["model"]["init_args"]["judge"]
    template = PromptTemplate(log.words.scenario, log.words.item, log.words.behavior, log.attribute_names)
    tuned = load_judge(judge, None if lexical else run.folder)
    return Oracle(tuned, JudgementCache(), template, log.catalogue)


def main() -> None:
    """Play, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("oracle", type=Path, help="folder of a finished oracle run")
    parser.add_argument("reward", type=Path, help="folder of a finished reward run")
    parser.add_argument("--users", type=int, default=100, help="test users, one episode each (default: 100)")
    parser.add_argument("--groups", type=int, default=10, help="questions per step before the last (default: 10)")
    parser.add_argument("--lexical", action="store_true", help="the word-overlap rule in the judge's place")
    given = parser.parse_args()

    run = RunData(given.oracle)
    world, log = open_world(None, str(given.reward))
    first_items = log.test.first_items()[: given.users]
    env = world.env(first_items, len(first_items), evaluation=True)
    oracle = judge_of(run, log, given.lexical)
    episodes = run_episodes(pick_among_random(oracle, env.num_items, given.groups, seed=0), env)
    print(f"{oracle.backend.name} as a policy, {len(first_items)} episodes, {oracle.asked:,} judgements")
    for name, (value, low, high) in intervals(episodes.returns.numpy(), episodes.lengths.numpy()).items():
        print(f"{name:>5} {value:6.2f}   95 % bootstrap interval {low:.2f} … {high:.2f}")


if __name__ == "__main__":
    main()
