"""How far the gradient of a loss over a sample of the items lies from that over all of them, in a large catalogue.

A policy set half way, A2C with `bootstrap: policy`, 128 transitions with histories of random items and actions that the
policies draw: nothing that one state prefers helps another. Flat policies and sharp ones.
"""

import argparse

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ialp.nets import ActorCritic
from ialp.rl import A2C, Algorithm, ConstantAlpha
from ialp.rl.large import BlockwisePolicySet, SampledSoftmax
from ialp.rl.schemes import PolicySet
from ialp.types import History, Transition

WIDTH, BATCH, LONGEST = 64, 128, 22


def policies(size: int, spread: float) -> PolicySet:
    """Two of random weights; the larger the spread of the actor's, the sharper."""
    torch.manual_seed(0)
    made = [ActorCritic(size, WIDTH) for _ in range(2)]
    for policy in made:
        torch.nn.init.normal_(policy.actor.weight, std=spread)
    scheme = BlockwisePolicySet(ConstantAlpha(0.5), "random")
    scheme.build(*made)
    return scheme


def transitions(scheme: PolicySet, size: int) -> Transition:
    """As in a replay buffer, with the actions drawn by the policies."""
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(1, LONGEST // 2, (BATCH,), generator=generator)
    begun = torch.arange(LONGEST) < length.unsqueeze(1)
    items = torch.randint(1, size + 1, (BATCH, LONGEST), generator=generator) * begun
    action = scheme.sample(History(items, length), torch.rand(BATCH, 2, generator=generator))
    flags = torch.zeros(2, BATCH, dtype=torch.bool)
    items = items.scatter(1, length.unsqueeze(1), action.unsqueeze(1))
    return Transition(items, length, torch.rand(BATCH, generator=generator), *flags)


def gradient(scheme: PolicySet, batch: Transition, algorithm: Algorithm) -> tuple[Tensor, float]:
    """Of everything that learns, flat; and the entropy of the policy, in nats."""
    scheme.zero_grad()
    loss, logs = algorithm.loss(scheme, batch)
    loss.backward()
    moved = [each.grad.flatten() for each in scheme.parameters() if each.grad is not None]
    return torch.cat(moved), float(logs["entropy"])


def main() -> None:
    """Prints a Markdown table, means over a few draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="items of the catalogue")
    parser.add_argument("--items", type=int, nargs="+", default=[1024, 8192, 32768], help="drawn per update")
    parser.add_argument("--spreads", type=float, nargs="+", default=[0.0125, 0.25, 0.5], help="0.0125 is a fresh actor")
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    print("| entropy of π̂, nats | drawn | relative distance | cosine |\n|---|---|---|---|")
    for spread in given.spreads:
        scheme = policies(given.size, spread)
        batch = transitions(scheme, given.size)
        exact, entropy = gradient(scheme, batch, A2C())
        for items in given.items:
            sampled, drawn = SampledSoftmax(A2C(), items), []
            for update in range(given.draws):
                sampled.on_update(scheme, update)
                drawn.append(gradient(scheme, batch, sampled)[0])
            distance = sum(float((each - exact).norm() / exact.norm()) for each in drawn) / given.draws
            cosine = sum(float(cosine_similarity(each, exact, dim=0)) for each in drawn) / given.draws
            print(f"| {entropy:.1f} | {items:,} | {distance:.3f} | {cosine:.4f} |", flush=True)


if __name__ == "__main__":
    main()
