"""What simple policies get in a world: figures to read a learnt policy's against. They are references, not bounds."""

import torch
from torch import Tensor

from ialp.data.log import Log
from ialp.envs.batch_env import BatchEnv
from ialp.envs.episodes import Choose, Episodes, run_episodes
from ialp.envs.exit_rules import SimilarityExit
from ialp.masking import allowed_items
from ialp.metrics import AverageReward, EpisodeLength, EpisodeReturn
from ialp.types import History

Figures = dict[str, float]


def references(env: BatchEnv, log: Log) -> dict[str, Figures]:
    """Return, length and average reward of every reference policy, one episode per user of `env`."""
    return {name: figures(run_episodes(policy, env)) for name, policy in reference_policies(env, log).items()}


def reference_policies(env: BatchEnv, log: Log) -> dict[str, Choose]:
    """Random, popularity, text similarity and one-step greedy; none recommends an item twice in an episode."""
    popularity = log.train.popularity(env.num_items).float()
    return {
        "random": uniformly_random(env.num_items, seed=0),
        "popularity": lambda history: _best_allowed(popularity.expand(len(history.length), -1), history),
        "text_similarity": textually_similar(log.neighbours(env.horizon)),
        "greedy": one_step_greedy(env),
    }


def figures(episodes: Episodes) -> Figures:
    """Return, length and average reward (paper, section 5.3)."""
    metrics = {"return": EpisodeReturn(), "length": EpisodeLength(), "average_reward": AverageReward()}
    return {name: float(metric(episodes.returns, episodes.lengths)) for name, metric in metrics.items()}


def uniformly_random(num_items: int, seed: int) -> Choose:
    """Any item, each as likely."""
    generator = torch.Generator().manual_seed(seed)
    return lambda history: _best_allowed(torch.rand(len(history.length), num_items + 1, generator=generator), history)


def textually_similar(neighbours: Tensor) -> Choose:
    """The item whose text is most like the last one's: neighbours (I, k), best first, k the horizon or all others."""

    def choose(history: History) -> Tensor:
        last = history.items.gather(1, history.length.unsqueeze(1) - 1).squeeze(1)
        similar = neighbours[last]  # (A, k)
        fresh = (similar.unsqueeze(2) != history.items.unsqueeze(1)).all(-1)
        return similar.gather(1, fresh.int().argmax(1, keepdim=True)).squeeze(1)

    return choose


def one_step_greedy(env: BatchEnv) -> Choose:
    """The item of the best response now, among those that do not end the episode by being too like the latest ones."""
    similarity = [rule for rule in env.exit_rules if isinstance(rule, SimilarityExit)]

    def choose(history: History) -> Tensor:
        scores = env.response(history.items, history.length)
        for rule in similarity:  # where every item ends it, the best of them
            scores = scores - 1e6 * rule.ends(history.items, history.length)
        return _best_allowed(scores, history)

    return choose


def _best_allowed(scores: Tensor, history: History) -> Tensor:
    """(A,) the item of highest score (A, I) among those not yet in the episode."""
    allowed = allowed_items(history.items, history.length, scores.shape[1])
    return scores.masked_fill(~allowed, -torch.inf).argmax(-1)
