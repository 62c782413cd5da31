from types import SimpleNamespace

import pytest
import torch

from ialp.distributed import SharedBatches, mean_over_ranks, share_of_rank, sum_over_ranks, weight_of_rank
from ialp.errors import UserError
from ialp.phases.objectives import binary_losses
from ialp.phases.pretrain import listwise_loss
from tests.helpers.ranks import in_gloo

LOGITS = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
CHOICE = torch.tensor([0, 4, 4, 4, 1, 2, 3, 0])  # 4 is None: one pick among the first four questions, four after
CANDIDATES = torch.tensor([[5, 1, 0, 0]] * 4 + [[5, 1, 2, 3]] * 4)  # one negative each, then three


def trainer(rank: int, ranks: int) -> SimpleNamespace:
    return SimpleNamespace(world_size=ranks, global_rank=rank)


def test_shares_cover_the_total_once():
    assert [share_of_rank(trainer(rank, 4), 12, "users") for rank in range(4)] == [(0, 3), (3, 3), (6, 3), (9, 3)]
    shares = [share_of_rank(trainer(rank, 4), 11, "test users", exact=False) for rank in range(4)]
    assert [row for first, count in shares for row in range(first, first + count)] == list(range(11))
    assert share_of_rank(None, 11, "users") == (0, 11)


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(UserError, match="users is 10, which 4 processes cannot share: choose a multiple of 4"):
        share_of_rank(trainer(0, 4), 10, "users")
    with pytest.raises(UserError, match="test users: 3 are too few for 4 processes"):
        share_of_rank(trainer(0, 4), 3, "test users", exact=False)


@pytest.mark.parametrize(("rows", "batch_size"), [(100, 8), (97, 8), (5, 8), (3, 8)])
def test_every_row_is_in_one_batch_of_one_rank(rows, batch_size):
    shared = [SharedBatches(trainer(rank, 3), rows, batch_size) for rank in range(3)]
    assert sorted(row for batches in shared for batch in batches for row in batch) == list(range(rows))
    assert all(len(batches) >= 1 for batches in shared)
    alone = list(SharedBatches(None, rows, batch_size))
    if len(alone) >= 3:
        assert [batch for batches in shared for batch in batches] == [*alone[::3], *alone[1::3], *alone[2::3]]


def test_a_single_process_changes_nothing():
    values = {"a": torch.tensor(0.1), "b": 2.0}
    assert mean_over_ranks(values) == values
    assert weight_of_rank(7) == 1.0
    assert sum_over_ranks(3, torch.tensor(0.5)).tolist() == [3.0, 0.5]


def together(rank: int) -> dict:
    half = slice(4 * rank, 4 * rank + 4)
    logits = LOGITS[half].requires_grad_()
    count = int((CHOICE[half] < 4).sum())
    (listwise_loss(logits, CHOICE[half]) * weight_of_rank(count)).backward()
    listwise, logits.grad = logits.grad, None
    click, no_click = binary_losses(logits, CANDIDATES[half])
    (click.mean() * weight_of_rank(len(click)) + no_click.mean() * weight_of_rank(len(no_click))).backward()
    return {
        "sums": sum_over_ranks(rank + 1, torch.tensor(0.5)),
        "means": mean_over_ranks({"a": torch.tensor(float(rank)), "b": 3.0}),
        "weights": [weight_of_rank(1 + 3 * rank), weight_of_rank(0)],
        "gradients": torch.stack([listwise, logits.grad]),
    }


def test_two_processes_add_up(tmp_path):
    first, second = in_gloo(together, tmp_path)
    assert first["sums"].tolist() == second["sums"].tolist() == [3.0, 1.0]
    assert {name: float(value) for name, value in first["means"].items()} == {"a": 0.5, "b": 3.0}
    assert first["weights"] == pytest.approx([2 * 1 / 5, 1.0]) and second["weights"] == pytest.approx([2 * 4 / 5, 1.0])
    logits = LOGITS.clone().requires_grad_()
    listwise_loss(logits, CHOICE).backward()
    whole, logits.grad = logits.grad, None
    click, no_click = binary_losses(logits, CANDIDATES)
    (click.mean() + no_click.mean()).backward()
    averaged = torch.cat([first["gradients"], second["gradients"]], dim=1) / 2
    torch.testing.assert_close(averaged, torch.stack([whole, logits.grad]))
