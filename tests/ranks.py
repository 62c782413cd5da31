"""Two processes on one machine that talk by gloo, as DDP's ranks on CPUs do."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port


def in_ranks(work: Callable[[int], Any], folder: Path, ranks: int = 2) -> list[Any]:
    """What `work(rank)` returns in each of several processes, which know of each other as from a launcher."""
    folder.mkdir(parents=True, exist_ok=True)
    port = find_free_network_port()
    torch.multiprocessing.start_processes(_one, (work, folder, ranks, port), nprocs=ranks, start_method="fork")
    return [torch.load(folder / f"{rank}.pt") for rank in range(ranks)]


def in_gloo(work: Callable[[int], Any], folder: Path, ranks: int = 2) -> list[Any]:
    """The same with a process group made already."""

    def grouped(rank: int) -> Any:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
        try:
            return work(rank)
        finally:
            torch.distributed.destroy_process_group()

    return in_ranks(grouped, folder, ranks)


def _one(rank: int, work: Callable[[int], Any], folder: Path, ranks: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(ranks)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.save(work(rank), folder / f"{rank}.pt")
