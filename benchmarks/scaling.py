"""What a catalogue's size costs: memory, acting, environment steps and updates, over all items and over a sample.

A policy set of width 64 with A2C, 64 users and minibatches of 256, on generated items and users without text or log.
Each size and form is measured in a process of its own. See README.md beside this file.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from memory import peak_mib

from ialp.envs import World
from ialp.nets import ActorCritic
from ialp.nets.response import SequentialResponse
from ialp.phases import OnlineAdapt
from ialp.phases.tracking import EpisodeTracker
from ialp.rl import A2C, ConstantAlpha, ReplayBuffer
from ialp.rl.exploration import UNIFORMS
from ialp.rl.large import BlockwisePolicySet, SampledSoftmax
from ialp.rl.schemes import PolicySet
from ialp.types import History

WIDTH, USERS, BATCH = 64, 64, 256
SIZES = [1_000, 10_000, 100_000, 1_000_000]


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def seconds_each(step: Callable[[], object], budget: float, clock: Callable[[], float]) -> float:
    """Median seconds of a step, after one to warm up, as often as fits the budget of seconds but at least twice."""
    step()
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < budget:
        start = clock()
        step()
        taken.append(clock() - start)
    return sorted(taken)[len(taken) // 2]


class Place(SimpleNamespace):
    """What a phase needs of a trainer and of a DataModule to collect."""


def prepare(size: int, sampled: int) -> tuple[OnlineAdapt, Place]:
    """A policy set half way, in front of users with random tastes; a sample of so many items, 0 for all of them."""
    torch.manual_seed(0)
    scheme = (BlockwisePolicySet if sampled else PolicySet)(ConstantAlpha(0.5), learner_start="random")
    scheme.build(*(ActorCritic(size, WIDTH) for _ in range(2)))
    env = World(SequentialResponse(size, WIDTH)).env(torch.arange(1, size + 1), USERS)
    env.reset()
    module = OnlineAdapt(scheme, SampledSoftmax(A2C(), sampled) if sampled else A2C())
    module.episodes = EpisodeTracker(USERS)
    data = Place(env=env, buffer=ReplayBuffer(10_000), reward_scale=0.2)
    trainer = Place(datamodule=data, world_size=1)
    module.trainer = trainer  # type: ignore[assignment]
    return module, trainer  # the module refers to it weakly


def measure(size: int, sampled: int, given: argparse.Namespace) -> None:
    """Prints a JSON line per figure, so that what is known stays known where memory ends."""
    budget, clock, ceiling = given.seconds, CLOCKS[given.clock], int(given.limit * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    module, trainer = prepare(size, sampled)
    scheme, env, buffer = module.scheme, trainer.datamodule.env, trainer.datamodule.buffer

    def tell(**figures: float) -> None:
        peak = peak_mib(resource.getrusage(resource.RUSAGE_SELF)) / 1024
        print(json.dumps({**figures, "peak": peak}), flush=True)

    def act() -> None:
        history = History(env.items, env.length, user=env.user)
        scheme.act(history, module.exploration, torch.rand(USERS, UNIFORMS))

    tell(act=1000 * seconds_each(act, budget, clock))
    tell(steps=USERS / seconds_each(module.collect, budget, clock))
    while len(buffer) < BATCH:
        module.collect()
    optimizer = torch.optim.Adam((each for each in scheme.parameters() if each.requires_grad), fused=True)
    updates = 0

    def update() -> None:
        nonlocal updates
        optimizer.zero_grad()
        module.algorithm.loss(scheme, buffer.sample(BATCH))[0].backward()
        optimizer.step()
        updates += 1
        module.algorithm.on_update(scheme, updates)

    tell(updates=1 / seconds_each(update, budget, clock))


def row(size: int, sampled: int, given: argparse.Namespace) -> str:
    """A line of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--one", str(size), "--items", str(sampled), "--threads", str(given.threads)]
    command += ["--seconds", str(given.seconds), "--limit", str(given.limit), "--clock", given.clock]
    done = subprocess.run(command, capture_output=True, text=True)
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    if done.returncode and "alloc" not in done.stderr and "MemoryError" not in done.stderr and done.returncode > 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    peak = f"{found['peak']:.2f} GiB" if "updates" in found else f"more than {given.limit:g} GiB"
    cells = [f"{found[name]:,.{digits}f}" if name in found else "–" for name, digits in FIGURES.items()]
    return f"| {size:,} | {f'{sampled:,} drawn' if sampled else 'all'} | {peak} | {' | '.join(cells)} |"


FIGURES = {"act": 1, "steps": 0, "updates": 2}


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="items of the catalogues")
    parser.add_argument("--items", type=int, nargs="+", default=[0, 8192], help="drawn per update; 0 is all of them")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="processor: of all threads, where other programs run"
    )
    parser.add_argument("--limit", type=float, default=14.0, help="GiB that a process may take")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        return measure(given.one, given.items[0], given)
    print(f"| items | a loss runs over | peak memory | acting, {USERS} users, ms | environment steps/s | updates/s |")
    print("|---|---|---|---|---|---|")
    for size in given.sizes:
        for sampled in given.items:
            if sampled < size:
                print(row(size, sampled, given), flush=True)
    return None


if __name__ == "__main__":
    main()
