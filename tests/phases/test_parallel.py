"""Two processes with half the users each, and averaged gradients, are one process with all of them."""

import pytest

from tests.helpers.parallel_runs import alone_and_in_two, assert_trained_alike, finetune, policyset, pretraining

KINDS = (finetune, policyset, pretraining)


@pytest.fixture(scope="module")
def trained(source, reward_run, pretrained, tmp_path_factory):
    """By one process, and by each of two."""
    return alone_and_in_two(tmp_path_factory.mktemp("parallel"), KINDS, source, str(reward_run), str(pretrained))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [make.__name__ for make in KINDS])
def test_two_processes_train_as_one(trained, kind):
    assert_trained_alike(*(each[kind] for each in trained))
