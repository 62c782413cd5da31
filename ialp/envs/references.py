"""What simple policies get in a world: figures to read a learnt policy's against. They are references, not bounds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ialp.data.log import Log
from ialp.envs.batch_env import BatchEnv
from ialp.envs.episodes import Choose, Episodes, run_episodes
from ialp.envs.exit_rules import ExitRule, SimilarityExit
from ialp.masking import allowed_items
from ialp.metrics import AverageReward, EpisodeLength, EpisodeReturn
from ialp.nets.response import ResponseNet

Figures = dict[str, float]


def references(env: BatchEnv, log: Log, seed: int = 0) -> dict[str, Figures]:
    """Return, length and average reward of every reference policy, one episode per user of `env`.

    None recommends an item twice in an episode.

    Args:
        env: The test world; left at the last policy's final states.
        log: Its training part gives the popularity, its catalogue the texts.
        seed: Of the random policy.
    """
    return {name: figures(run_episodes(policy, env)) for name, policy in reference_policies(env, log, seed).items()}


def reference_policies(env: BatchEnv, log: Log, seed: int = 0) -> dict[str, Choose]:
    """The policies that `references` plays, by name."""
    return {
        "random": uniformly_random(env.num_items, seed),
        "popularity": most_popular(log.train.popularity(env.num_items)),
        "text_similarity": textually_similar(log.neighbours(env.horizon)),
        "greedy": one_step_greedy(env.response, env.exit_rules),
    }


def figures(episodes: Episodes) -> Figures:
    """The three figures of the method (paper, section 5.3)."""
    metrics = {"return": EpisodeReturn(), "length": EpisodeLength(), "average_reward": AverageReward()}
    return {name: float(metric(episodes.returns, episodes.lengths)) for name, metric in metrics.items()}


def best_allowed(scores: Tensor, items: Tensor, length: Tensor) -> Tensor:
    """(A,) the item of highest score (A, I) among those not yet in the episode."""
    return scores.masked_fill(~allowed_items(items, length, scores.shape[1]), -torch.inf).argmax(-1)


def uniformly_random(num_items: int, seed: int) -> Choose:
    """Any item, each as likely."""
    generator = torch.Generator().manual_seed(seed)

    def choose(items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        return best_allowed(torch.rand(len(items), num_items + 1, generator=generator), items, length)

    return choose


def most_popular(popularity: Tensor) -> Choose:
    """The item that the training log holds most often: popularity (I,)."""

    def choose(items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        return best_allowed(popularity.float().expand(len(items), -1), items, length)

    return choose


def textually_similar(neighbours: Tensor) -> Choose:
    """The item whose text is most like the last one's: neighbours (I, k), best first.

    k must be the horizon or all other items: then one of them is always left.
    """

    def choose(items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        last = items.gather(1, length.unsqueeze(1) - 1).squeeze(1)
        similar = neighbours[last]  # (A, k)
        fresh = (similar.unsqueeze(2) != items.unsqueeze(1)).all(-1)
        return similar.gather(1, fresh.int().argmax(1, keepdim=True)).squeeze(1)

    return choose


def one_step_greedy(response: ResponseNet, exit_rules: Sequence[ExitRule] = ()) -> Choose:
    """The item of the best response now, among those that do not end the episode by being too like the latest ones."""
    similarity = [rule for rule in exit_rules if isinstance(rule, SimilarityExit)]

    def choose(items: Tensor, length: Tensor, user: Tensor) -> Tensor:
        scores = response(items, length)
        for rule in similarity:
            scores = scores - 1e6 * rule.ends(items, length)  # where every item ends it, the best of them
        return best_allowed(scores, items, length)

    return choose
