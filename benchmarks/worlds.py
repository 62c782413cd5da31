"""Environment steps per second of simulated users under random actions, resets of those who leave included.

    python benchmarks/worlds.py runs/coat_reward/* --users 100
    python benchmarks/worlds.py runs/lfm_reward/* runs/industry_reward/* --users 256

Each RUN is the folder of a finished reward run. One step is: draw an item for every user, `step`, and `reset` of the
users whose episode is over. The best of several rounds is printed, and the middle one.
"""

import argparse
import time
from statistics import median

import torch

from ialp.envs import BatchEnv
from ialp.runs.open import open_world


def users_of(run: str, users: int) -> BatchEnv:
    """Users in the training world of a reward run."""
    world, log = open_world(None, run)
    return world.env(log.train.first_items(), users)


def play(env: BatchEnv, steps: int) -> float:
    """Seconds that so many steps of all users take, reset at once when they leave."""
    start = time.perf_counter()
    for actions in torch.randint(1, env.num_items + 1, (steps, env.num_users)):
        env.step(actions)
        env.reset(env.done)
    return time.perf_counter() - start


def main() -> None:
    """Play, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of finished reward runs")
    parser.add_argument("--users", type=int, default=100, help="at once (default: 100)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a round, about (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=30, help="(default: 30)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for run in given.runs:
        env = users_of(run, given.users)
        steps = max(10, int(30 * given.seconds / play(env, 30)))  # the first steps also warm up
        rates = [steps * given.users / play(env, steps) for _ in range(given.rounds)]
        print(
            f"{run}, {given.users} users, {given.threads} thread(s): best {max(rates):,.0f} steps/s, "
            f"middle of {given.rounds} rounds {median(rates):,.0f}; "
            f"{1e6 * given.users / max(rates):.0f} µs for a step of all users",
            flush=True,
        )


if __name__ == "__main__":
    main()
