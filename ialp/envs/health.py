"""How a world behaves under its reference policies: what users answer, how long they stay and why they go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ialp.data.log import Log
from ialp.envs.batch_env import BatchEnv
from ialp.envs.episodes import Episodes, run_episodes
from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, SimilarityExit, Step
from ialp.envs.references import Figures, figures, reference_policies

POPULARITY_LIMIT = 0.45
"""Share of greedy's return: above it fame is all there is to learn, and methods cannot be told apart."""
CEILING = 0.95
"""Share of the best reference's return: above it there is nothing left by which methods could differ."""
CAUSES: dict[type[ExitRule], str] = {PatienceExit: "patience", SimilarityExit: "similarity", MaxSteps: "horizon"}
"""What ended an episode, in a word; a rule of one's own goes by its class."""


@dataclass
class Played:
    """Episodes under one policy.

    Attributes:
        figures: Return, length and average reward.
        answers: (n,) p of a click, or rating, of every recommendation in every episode.
        lengths: (E,) recommendations per episode.
        causes: Share of the episodes that each exit rule ended, in the order of the rules.
    """

    figures: Figures
    answers: Tensor
    lengths: Tensor
    causes: dict[str, float]


def play_references(env: BatchEnv, log: Log, say: Callable[[str], None] = lambda _: None) -> dict[str, Played]:
    """One episode of every user of `env` under every reference policy; `say` hears each policy's name before its turn.

    Args:
        env: The test world; left at the last policy's final states.
        log: Its training part gives the popularity, its catalogue the texts.
        say: For progress.
    """
    played = {}
    for name, policy in reference_policies(env, log).items():
        say(name)
        episodes = run_episodes(policy, env)
        answers, causes = replay(env, episodes)
        played[name] = Played(figures(episodes), answers, episodes.lengths, causes)
    return played


@torch.no_grad()
def replay(env: BatchEnv, episodes: Episodes) -> tuple[Tensor, dict[str, float]]:
    """Goes through episodes of `env` again, to see what the users answered and which exit rule had the last word.

    Returns:
        (n,) answers to all recommendations, and the share of the episodes that each exit rule ended. Where several
        rules speak at once, the first one counts.
    """
    rules, net = env.exit_rules, env.response
    memory = [rule.start(len(episodes.lengths), env.device) for rule in rules]
    cuts = torch.tensor([rule.truncates for rule in rules]).unsqueeze(1)  # (R, 1)
    answers, ended = [], torch.zeros_like(episodes.lengths)
    for turn in range(1, int(episodes.lengths.max()) + 1):
        active = (episodes.lengths >= turn).nonzero().squeeze(1)
        items, action, length = (
            episodes.items[active, :turn],
            episodes.items[active, turn],
            torch.full_like(active, turn),
        )
        step = Step(items, length, action, net.activation(net.score_item(items, length, action)))
        answers.append(step.response)
        spoken = []
        for index, rule in enumerate(rules):
            memory[index][active], leaves = rule.advance(memory[index][active], step)
            spoken.append(leaves)
        # A rounding error apart, a rule of the right kind has spoken in the last turn; without one, the first is taken.
        fitting = cuts != episodes.terminated[active]  # (R, A)
        cause = (fitting.int() + (fitting & torch.stack(spoken)).int()).argmax(0)
        last = episodes.lengths[active] == turn
        ended[active[last]] = cause[last]
    return torch.cat(answers), _shares(rules, ended)


def _shares(rules: Sequence[ExitRule], ended: Tensor) -> dict[str, float]:
    """Share of the episodes (E,), each ended by the rule of that number, by the rule's word."""
    shares: dict[str, float] = {}
    for rule, share in zip(rules, (torch.bincount(ended, minlength=len(rules)) / len(ended)).tolist(), strict=True):
        name = CAUSES.get(type(rule), type(rule).__name__)
        shares[name] = shares.get(name, 0.0) + share
    return shares


def degeneracy_warnings(
    references: Mapping[str, Figures], policies: Mapping[str, Figures] = MappingProxyType({})
) -> list[str]:
    """Why methods could not be told apart in a world: a sentence for each reason, none where they can.

    Args:
        references: Figures of the reference policies.
        policies: Figures of finished policies.
    """
    said = []
    share = references["popularity"]["return"] / references["greedy"]["return"]
    if share > POPULARITY_LIMIT:
        said.append(
            f"popularity alone gets {share:.0%} of greedy's return, more than {POPULARITY_LIMIT:.0%}: "
            "taste hardly counts here, and methods cannot be told apart"
        )
    best = max(references, key=lambda name: references[name]["return"])
    for name, measured in policies.items():
        if (share := measured["return"] / references[best]["return"]) >= CEILING:
            said.append(
                f"{name} gets {share:.0%} of the return of {best}, the best reference; from {CEILING:.0%} on "
                "nothing is left by which methods could differ"
            )
    return said
