"""The state of the global random number generators: of torch, its GPU, numpy and Python."""

import random
from typing import Any, cast

import numpy as np
import torch


def chance() -> dict[str, Any]:
    """The state of all of them, in what a checkpoint may hold: tensors, numbers, texts."""
    name, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_chance(state: dict[str, Any]) -> None:
    """Go on drawing where `chance` was taken."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))
