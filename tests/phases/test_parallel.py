"""Two processes with half the users each, and averaged gradients, are one process with all of them."""

import pytest
import torch

from tests.helpers.parallel_runs import KINDS, train
from tests.helpers.ranks import in_ranks


@pytest.fixture(scope="module")
def trained(source, reward_run, pretrained, tmp_path_factory):
    """By one process, and by each of two."""
    folder = tmp_path_factory.mktemp("parallel")
    runs = source, str(reward_run), str(pretrained)
    alone = train(0, 1, folder, *runs)
    return alone, *in_ranks(train, folder / "two", 2, folder / "two", *runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [make.__name__ for make in KINDS])
def test_two_processes_train_as_one(trained, kind):
    one, *two = (each[kind] for each in trained)
    moved = 0.0
    assert all(weight.isfinite().all() for weight in one["weights"].values())
    for name, weight in one["weights"].items():
        moved = max(moved, float((weight - one["start"][name]).norm()))
        for each in two:
            torch.testing.assert_close(each["weights"][name], weight, rtol=0, atol=1e-5)
    assert moved > 0.1
    for alone, first, second in zip(one["rows"], *(each["rows"] for each in two), strict=True):
        assert first == second
        assert first.pop("policy") == alone.pop("policy")
        assert first == pytest.approx(alone, rel=1e-6)  # R, Len and R_avg of 11 test users, at every epoch
    others = "seconds_per_step", "advantage", "train/return", "train/length"  # time, near zero, the latest of each rank
    logged = {name: value for name, value in one["logged"].items() if not name.endswith(others)}
    assert len(logged) > 5
    for name, value in logged.items():
        assert two[0]["logged"][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
