"""`ialp evaluate RUN`: play a finished policy in a world, episode by episode."""

from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from ialp.data import Log
from ialp.envs.episodes import Episodes, run_episodes, sampled_from
from ialp.errors import UserError
from ialp.files import replacing
from ialp.report.statistics import Estimate, mean, ratio_of_means
from ialp.rl.schemes import load_policy
from ialp.runs.data import RunData
from ialp.runs.open import open_world


def evaluate(
    run: str, world: str | None = None, users: int = 500, sampled: bool = False, out: str | None = None
) -> Path:
    """Play the policy of a finished run against simulated users of a test world.

    Prints R, Len and R_avg with 95 % bootstrap intervals over the episodes, and writes one row per episode; returns the
    path of that Parquet file.

    Raises:
        UserError: No such run or world, or policy and world of different catalogues.
    """
    source = RunData(Path(run))
    place = RunData(Path(world)) if world else source.world
    if not source.folder.is_dir():
        raise UserError(f"{run}: no such run folder; `ialp runs list` shows what there is")
    if place is None:
        raise UserError(f"{run}: this run was not built on a reward run; name one with --world runs/…_reward/…")
    if users < 2:
        raise UserError(f"--users is {users}: an interval needs at least 2 episodes")
    opened, log = open_world(None, str(place.folder))
    policy = load_policy(source.folder, log.catalogue.fingerprint).eval()
    first_items = log.test.first_items()[:users]
    env = opened.env(first_items, len(first_items), evaluation=True)
    choose = sampled_from(policy, int(source.done.get("seed") or 0)) if sampled else policy.best
    episodes = run_episodes(choose, env)

    which = f"{place.name}-{place.folder.absolute().name}{'-sampled' if sampled else ''}"
    path = Path(out) if out else source.folder / f"episodes-{which}.parquet"
    with replacing(path) as file:
        per_episode(episodes, log).write_parquet(file)
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


def intervals(returns: np.ndarray, lengths: np.ndarray) -> dict[str, Estimate]:
    """Mean and 95 % percentile bootstrap interval of R, Len and R_avg, over the episodes (E,).

    R_avg = ΣR / ΣLen is resampled by episode, return and length together.
    """
    average = ratio_of_means(dict(enumerate(returns)), dict(enumerate(lengths)))
    assert average is not None  # an episode has a step at least
    return {"R": mean(list(returns)), "Len": mean(list(lengths)), "R_avg": average}


def _print(episodes: Episodes, world: RunData, asked: int, sampled: bool, path: Path) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    count = len(episodes.returns)
    if count < asked:
        console.print(f"the test world has {count} first items: {count} episodes instead of {asked}")
    how = "sampled actions" if sampled else "most probable actions"
    console.print(f"{count} test episodes, {how}, in {world.folder}")
    for name, each in intervals(episodes.returns.numpy(), episodes.lengths.numpy()).items():
        console.print(f"{name:>5} {each.value:6.2f}   95 % bootstrap interval {each.low:.2f} … {each.high:.2f}")
    console.print(f"per episode: {path}")
