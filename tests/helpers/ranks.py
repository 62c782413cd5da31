"""Two processes on one machine that talk by gloo, as DDP's ranks on CPUs do."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port


def in_ranks(work: Callable[..., Any], folder: Path, *arguments: Any, ranks: int = 2) -> list[Any]:
    """What `work(rank, *arguments)` returns in each of several new processes, told of each other as by a launcher.

    They are started afresh: a fork would inherit the locks of polars' threads without the threads.
    """
    return _started("spawn", work, folder, arguments, ranks)


def in_gloo(work: Callable[[int], Any], folder: Path, ranks: int = 2) -> list[Any]:
    """What `work(rank)` returns in each of several forked processes with a process group, without polars."""
    return _started("fork", _grouped, folder, (work, ranks), ranks)


def _grouped(rank: int, work: Callable[[int], Any], ranks: int) -> Any:
    torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    try:
        return work(rank)
    finally:
        torch.distributed.destroy_process_group()


def _started(method: str, work: Callable[..., Any], folder: Path, arguments: tuple[Any, ...], ranks: int) -> list[Any]:
    folder.mkdir(parents=True, exist_ok=True)
    told = work, folder, arguments, ranks, find_free_network_port()
    torch.multiprocessing.start_processes(_one, told, nprocs=ranks, start_method=method)
    return [torch.load(folder / f"{rank}.pt") for rank in range(ranks)]


def _one(rank: int, work: Callable[..., Any], folder: Path, arguments: tuple[Any, ...], ranks: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(ranks)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.save(work(rank, *arguments), folder / f"{rank}.pt")
