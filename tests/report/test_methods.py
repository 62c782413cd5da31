"""Methods are told from classes and settings; what a folder is called does not matter."""

import pytest

from ialp.report.methods import differences, method_of
from ialp.runs.data import RunData


@pytest.mark.parametrize(
    ("scheme", "algorithm", "name"),
    [
        ("ialp.rl.schemes.Scratch", "ialp.rl.A2C", "A2C"),
        ("ialp.rl.schemes.Scratch", "ialp.rl.DQN", "DQN"),
        ("ialp.rl.schemes.Scratch", "ialp.rl.Reinforce", "PG"),
        ("ialp.rl.schemes.LLMOnline", "ialp.rl.A2C", "LLMOnline"),
        ("ialp.rl.schemes.Frozen", None, "frozen iALP"),
        ("ialp.rl.schemes.FineTune", "ialp.rl.A2C", "A-iALP FineTune"),
        ("ialp.rl.schemes.PolicySet", "ialp.rl.A2C", "A-iALP PolicySet"),
        ("ialp.rl.schemes.PolicySet", "ialp.rl.DQN", "A-iALP PolicySet, DQN"),
        ("ialp.rl.schemes.policy_set.PolicySet", "ialp.rl.algorithms.A2C", "A-iALP PolicySet"),
        ("callbacks.mine.PolicySet", "ialp.rl.A2C", "misnamed"),
        ("ialp.rl.schemes.Scratch", "callbacks.mine.A2C", "misnamed"),
    ],
)
def test_method_name_is_of_classes_and_not_of_folders(tmp_path, write_online, scheme, algorithm, name):
    run = RunData(write_online(tmp_path, "misnamed", 0, scheme=scheme, algorithm=algorithm))
    assert method_of(run).name == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ialp.rl.EpsilonGreedy", "ε-greedy"),
        ("ialp.rl.Greedy", "greedy"),
        ("callbacks.boltzmann.Boltzmann", "Boltzmann"),
    ],
)
def test_method_exploration_is_of_its_class(tmp_path, write_online, path, name):
    assert method_of(RunData(write_online(tmp_path, "any", 0, exploration=path))).exploration == name


def test_method_differs_by_settings_and_not_by_seed_or_length(tmp_path, write_online):
    first = method_of(RunData(write_online(tmp_path, "a", 0)))
    longer = method_of(RunData(write_online(tmp_path, "a", 1, returns=(2, 3, 4, 5))))
    quicker = method_of(RunData(write_online(tmp_path, "a", 2, lr=0.003)))
    assert first == longer
    assert differences(quicker, first) == {"model.lr": "0.003"}
