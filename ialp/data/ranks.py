"""What part of a global number belongs to this process."""

from lightning import Trainer

from ialp.errors import UserError


def share_of_rank(trainer: Trainer, total: int, name: str, exact: bool = True) -> tuple[int, int]:
    """First index and count of this rank's share of `total`.

    Raises:
        UserError: with `exact`, if the number of processes does not divide `total`.
    """
    ranks, rank = trainer.world_size, trainer.global_rank
    if exact and total % ranks:
        raise UserError(f"{name} is {total}, which {ranks} processes cannot share: choose a multiple of {ranks}")
    first, last = total * rank // ranks, total * (rank + 1) // ranks
    return first, last - first
