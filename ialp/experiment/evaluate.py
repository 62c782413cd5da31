"""`ialp evaluate RUN`: play a finished policy in a world, episode by episode."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from scipy.stats import bootstrap

from ialp.data import Log
from ialp.envs.episodes import Episodes, argmax_of, run_episodes, sampled_from
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.rl.schemes import load_policy
from ialp.runs.data import RunData
from ialp.runs.open import open_world

RESAMPLES = 5000


def evaluate(
    run: str, world: str | None = None, users: int = 500, sampled: bool = False, out: str | None = None
) -> Path:
    """Play the policy of a finished run against simulated users of a test world.

    Prints R, Len and R_avg with 95 % bootstrap intervals over the episodes, and writes one row per episode.

    Args:
        run: Folder of a finished pretrain or online run.
        world: Folder of a finished reward run; an online run knows its own.
        users: Test users, one episode each; at most as many as the test world has.
        sampled: Draw actions from the policy instead of taking its most probable one.
        out: The Parquet file; by default it lies in the run's folder, named after the world.

    Returns:
        The path of the Parquet file.

    Raises:
        UserError: No such run or world, or policy and world of different catalogues.
    """
    source = RunData(_folder(run))
    place = RunData(_folder(world)) if world else _own_world(source.folder)
    if users < 2:
        raise UserError(f"--users is {users}: an interval needs at least 2 episodes")
    opened, log = open_world(None, str(place.folder))
    policy = load_policy(source.folder, log.catalogue.fingerprint).eval()
    first_items = log.test.first_items()[:users]
    env = opened.env(first_items, len(first_items), evaluation=True)
    choose = sampled_from(policy, int(source.done.get("seed") or 0)) if sampled else argmax_of(policy)
    episodes = run_episodes(choose, env)

    path = Path(out) if out else source.folder / _file_name(place, sampled)
    buffer = io.BytesIO()
    per_episode(episodes, log).write_parquet(buffer)
    write_atomically(path, buffer.getvalue())
    _print(episodes, place, users, sampled, path)
    return path


def per_episode(episodes: Episodes, log: Log) -> pl.DataFrame:
    """One row per user; items are the catalogue's own ids, the first item not among the recommended ones."""
    histories = [[log.names[item] for item in row if item] for row in episodes.items.tolist()]
    lengths = episodes.lengths.numpy()
    return pl.DataFrame(
        {
            "user": np.arange(len(histories)),
            "first_item": [history[0] for history in histories],
            "return": episodes.returns.numpy(),
            "length": lengths,
            "average_reward": episodes.returns.numpy() / lengths,
            "terminated": episodes.terminated.numpy(),
            "items": [history[1:] for history in histories],
        }
    )


def intervals(returns: np.ndarray, lengths: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Value and 95 % percentile bootstrap interval of R, Len and R_avg, over the episodes (E,).

    R_avg = ΣR / ΣLen is resampled by episode, return and length together.
    """
    pairs = (np.asarray(returns, np.float64), np.asarray(lengths, np.float64))

    def of(statistic: Callable[..., Any], *samples: np.ndarray) -> tuple[float, float, float]:
        ends = bootstrap(
            samples, statistic, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile", rng=0
        ).confidence_interval
        return float(statistic(*samples)), float(ends.low), float(ends.high)

    return {
        "R": of(np.mean, pairs[0]),
        "Len": of(np.mean, pairs[1]),
        "R_avg": of(lambda r, n, axis=-1: r.sum(axis) / n.sum(axis), *pairs),
    }


def _folder(path: str) -> Path:
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such run folder; `ialp runs list` shows what there is")
    return Path(path)


def _own_world(run: Path) -> RunData:
    found = RunData(run).world
    if found is None:
        raise UserError(f"{run}: this run was not built on a reward run; name one with --world runs/…_reward/…")
    return found


def _file_name(world: RunData, sampled: bool) -> str:
    return f"episodes-{world.name}-{world.folder.absolute().name}{'-sampled' if sampled else ''}.parquet"


def _print(episodes: Episodes, world: RunData, asked: int, sampled: bool, path: Path) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    count = len(episodes.returns)
    if count < asked:
        console.print(f"the test world has {count} first items: {count} episodes instead of {asked}")
    how = "sampled actions" if sampled else "most probable actions"
    console.print(f"{count} test episodes, {how}, in {world.folder}")
    for name, (value, low, high) in intervals(episodes.returns.numpy(), episodes.lengths.numpy()).items():
        console.print(f"{name:>5} {value:6.2f}   95 % bootstrap interval {low:.2f} … {high:.2f}")
    console.print(f"per episode: {path}")
