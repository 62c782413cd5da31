"""What part of a global number belongs to this process, and what several processes make together."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed
from torch.utils.data import DistributedSampler

from ialp.errors import UserError

if TYPE_CHECKING:
    from lightning import Trainer


def check_share(ranks: int, total: int, name: str) -> None:
    """Refuse a number of ranks that cannot have equal parts."""
    if total % ranks:
        raise UserError(f"{name} is {total}, which {ranks} processes cannot share: choose a multiple of {ranks}")


def share_of_rank(trainer: "Trainer | None", total: int, name: str, exact: bool = True) -> tuple[int, int]:
    """First index and count of this rank's share of `total`; all of it without a trainer.

    Raises:
        UserError: with `exact`, if the number of processes does not divide `total`; else if it is above `total`.
    """
    ranks, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
    if exact:
        check_share(ranks, total, name)
    if ranks > max(total, 1):
        raise UserError(f"{name}: {total} are too few for {ranks} processes: choose at least {ranks}")
    first, last = total * rank // ranks, total * (rank + 1) // ranks
    return first, last - first


class SharedBatches(DistributedSampler):
    """Batches of row numbers, in order; of W ranks each takes every W-th of the batches that one process would see.

    Nothing is repeated or left out, so that sums and counts over all ranks are those of one process; where there would
    be fewer batches than ranks, they are smaller. It is a DistributedSampler by name, which Lightning leaves as it is.

    Raises:
        UserError: There are fewer rows than ranks.
    """

    def __init__(self, trainer: "Trainer | None", rows: int, batch_size: int) -> None:
        ranks, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        super().__init__(range(rows), ranks, rank, shuffle=False)  # type: ignore[arg-type]
        share_of_rank(trainer, rows, "rows to validate on", exact=False)
        size = min(batch_size, max(rows // ranks, 1))  # so that each rank has a batch
        self.batches = [list(range(start, min(start + size, rows))) for start in range(0, rows, size)[rank::ranks]]

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def world_size() -> int:
    """Processes that work together now."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def global_rank() -> int:
    """Number of this process among those that work together now."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def sum_over_ranks(*values: Tensor | float) -> Tensor:
    """(n,) float64: each of n numbers added up over all processes, which must all call this."""
    on_cpu = world_size() == 1 or "gloo" in distributed.get_backend()
    device = torch.device("cpu") if on_cpu else torch.device("cuda", torch.cuda.current_device())
    total = torch.stack([torch.as_tensor(value).detach().to(device, torch.float64) for value in values])
    if world_size() > 1:
        distributed.all_reduce(total)
    return total


def gather_over_ranks(value: Any) -> list[Any]:
    """What each process has, by rank; all must call this."""
    parts: list[Any] = [value] * world_size()
    if len(parts) > 1:
        distributed.all_gather_object(parts, value)  # pickled between the processes of this run, never from a file
    return parts


def weight_of_rank(count: int) -> float:
    """What a mean over `count` rows of this process counts beside those of the others: W · count / all counts.

    Processes average their gradients. Where each has its own number of rows, losses with this weight make that the
    gradient of the mean over all rows. 1 in a single process. All processes must call this.
    """
    if (ranks := world_size()) == 1:
        return 1.0
    total = float(sum_over_ranks(count))
    return ranks * count / total if total else 1.0


def mean_over_ranks(values: Mapping[str, Tensor | float]) -> dict[str, Any]:
    """Each value averaged over all processes, which must have the same names; as they are in a single process."""
    if (ranks := world_size()) == 1:
        return dict(values)
    means = (sum_over_ranks(*values.values()) / ranks).float()
    return dict(zip(values, means.unbind(), strict=True))
