"""Diagnosis of a world: what its reference policies get, why their episodes end, and whether methods can differ."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ialp.data.log import Log
from ialp.envs.batch_env import BatchEnv
from ialp.envs.episodes import Choose, run_episodes
from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, SimilarityExit, Step
from ialp.envs.references import Figures, figures, reference_policies

POPULARITY_LIMIT = 0.45  # of greedy's return: above it popularity explains most of a world
CEILING = 0.95  # of the best reference's return: above it methods have no room left to differ
CAUSES: dict[type[ExitRule], str] = {PatienceExit: "patience", SimilarityExit: "similarity", MaxSteps: "horizon"}


@dataclass
class Played:
    """One episode of each of E users under one policy.

    Attributes:
        figures: Return, length and average reward.
        responses: (n,) p of a click, or rating, of every recommendation in every episode.
        lengths: (E,) recommendations per episode.
        causes: Share of the episodes that each exit rule ended; of several the first, and the horizon last.
    """

    figures: Figures
    responses: Tensor
    lengths: Tensor
    causes: dict[str, float]


def play(policy: Choose, env: BatchEnv) -> Played:
    """Plays one episode of every user of `env`, which is left at the final states."""
    names = [CAUSES.get(type(rule), type(rule).__name__) for rule in env.exit_rules]
    causes = dict.fromkeys(names, 0.0)
    responses: list[Tensor] = []

    def observe(step: Step, ends: list[Tensor]) -> None:
        responses.append(step.response)
        by_rule = torch.stack(ends)  # (R, A)
        for rule in by_rule.int().argmax(0)[by_rule.any(0)].tolist():
            causes[names[rule]] += 1 / env.num_users

    episodes = run_episodes(policy, env, observe)
    return Played(figures(episodes), torch.cat(responses), episodes.lengths, causes)


def play_references(env: BatchEnv, log: Log) -> dict[str, Played]:
    """One episode of every user of `env` under every reference policy."""
    return {name: play(policy, env) for name, policy in reference_policies(env, log).items()}


def degeneracy_warnings(references: Mapping[str, Figures], policies: Mapping[str, Figures]) -> list[str]:
    """Why methods could not be told apart in a world: one sentence for each reason, none where they can."""
    warnings = []
    share = references["popularity"]["return"] / references["greedy"]["return"]
    if share > POPULARITY_LIMIT:
        warnings.append(
            f"popularity alone gets {share:.0%} of greedy's return, more than {POPULARITY_LIMIT:.0%}: "
            "taste hardly counts here, and methods cannot be told apart"
        )
    best = max(references, key=lambda name: references[name]["return"])
    for name, measured in policies.items():
        if (share := measured["return"] / references[best]["return"]) >= CEILING:
            warnings.append(
                f"{name} gets {share:.0%} of the return of {best}, the best reference; from {CEILING:.0%} on "
                "methods have no room left to differ"
            )
    return warnings
