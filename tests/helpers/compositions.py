"""Schemes, algorithms and explorations, and which of them fit together: the table that the phases are tested by."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule

from ialp.errors import UserError
from ialp.oracle import LexicalOracle, OracleConfig
from ialp.phases import OnlineAdapt
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy, FromPolicy, Greedy, Reinforce
from ialp.rl.schemes import FineTune, Frozen, LLMOnline, PolicySet, Scheme, Scratch, load_policy
from ialp.types import History
from tests.helpers.training import train

Combination = tuple[str, str, str]
"""Names of a scheme, an algorithm and an exploration."""

SCHEMES: dict[str, Callable[[Path], Scheme]] = {  # of a folder that the judgements are kept in
    "Scratch": lambda _: Scratch(),
    "FineTune": lambda _: FineTune(),
    "PolicySet": lambda _: PolicySet(),
    "LLMOnline": lambda folder: llm_online(folder),
    "Frozen": lambda _: Frozen(),
}
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "A2C": A2C,
    "A2C(trace)": lambda: A2C(trace=0.9),
    "Reinforce": Reinforce,
    "Reinforce(none)": lambda: Reinforce(baseline="none"),
    "DQN": lambda: DQN(target_every=1),
}
EXPLORATIONS: dict[str, Callable[[], Any]] = {
    "Categorical": Categorical,
    "Categorical(2)": lambda: Categorical(2.0),
    "EpsilonGreedy": EpsilonGreedy,
    "Greedy": Greedy,
}
TABLE: list[Combination] = list(itertools.product(SCHEMES, ALGORITHMS, EXPLORATIONS))


def llm_online(folder: Path) -> LLMOnline:
    """The lexical judge picks among four candidates."""
    config = OracleConfig(LexicalOracle(), cache=str(folder / "judgements.sqlite"))
    return LLMOnline(config, FromPolicy(count=4))


def reason(combination: Combination, whole_episodes: bool) -> str | None:
    """A word of why a combination is refused; None where it composes."""
    scheme, algorithm, exploration = combination
    if scheme == "Frozen":  # nothing learns
        return None
    if algorithm in ("A2C(trace)", "Reinforce", "Reinforce(none)") and not whole_episodes:
        return "data.class_path"
    if algorithm.startswith("Reinforce") and scheme == "LLMOnline":
        return "a judge acts"
    if algorithm.startswith("Reinforce") and exploration != "Categorical":
        return "draws otherwise"
    if algorithm == "DQN" and scheme == "PolicySet":
        return "mixes"
    return None


def covering(combinations: Iterable[Combination], times: int = 2) -> list[Combination]:
    """A few of the combinations in which every scheme, algorithm and exploration occurs so often, if it does at all."""
    left, chosen = list(combinations), []
    seen: Counter[tuple[int, str]] = Counter()

    def news(combination: Combination) -> int:
        return sum(max(times - seen[part], 0) for part in enumerate(combination))

    while left and news(best := max(left, key=news)):
        left.remove(best)
        seen.update(enumerate(best))
        chosen.append(best)
    return chosen


def fits_or_is_refused(module: OnlineAdapt, data: LightningDataModule, expected: str | None) -> None:
    """The phase takes its parts, or refuses them in one line with the expected reason and the key to set."""
    if expected is None:
        module.check_composition(data)
    else:
        with pytest.raises(UserError, match=expected) as refused:
            module.check_composition(data)
        assert "model.init_args.algorithm" in str(refused.value) and "\n" not in str(refused.value)


def trains_a_step(module: OnlineAdapt, data: LightningDataModule, folder: Path) -> None:
    """Trains for an epoch of one step; all weights are numbers, and the run is read back as it ended."""
    train(module, data, folder, epochs=1, limit_val_batches=0 if module.trains else 1)
    assert (module.environment_steps > 0) == module.trains
    learner = module.scheme.learner
    assert all(torch.isfinite(parameter).all() for parameter in learner.parameters())
    if module.trains:
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in learner.parameters())
    history = History(torch.tensor([[3, 5]]), torch.tensor([2]))
    acted = module.scheme.probabilities(history)
    assert torch.allclose(load_policy(folder).probabilities(history), acted, atol=1e-6)
