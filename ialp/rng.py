"""Counter-based RNG (SplitMix64): uniforms are a function of (seed, user, episode, step), independent of the batch."""

import random
import zlib
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)  # int64's >> keeps the sign, the hash wants zeros


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 products wrap around as they should."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def uniforms(seed: int, user: Tensor, episode: Tensor, step: Tensor, n: int = 1) -> Tensor:
    """Uniform numbers in [0, 1) that belong to (seed, user, episode, step).

    B users at once draw exactly what each would draw alone. Independent uses take different seeds (see `stream`).

    Args:
        seed: any integer.
        user: (B,) int64 counter.
        episode: (B,) likewise.
        step: (B,) likewise.
        n: numbers per row.

    Returns:
        (B, n) float32.
    """
    key = torch.full_like(user, seed)
    for counter in (user, episode, step):
        key = _mix((key + _GOLDEN) ^ _mix(counter + _GOLDEN))
    columns = torch.arange(1, n + 1, device=user.device, dtype=torch.int64) * _GOLDEN
    return _shift(_mix(key.unsqueeze(1) + columns), 40).float() / (1 << 24)


def stream(seed: int, name: str) -> int:
    """A seed for the use called `name`, so that first items and explored actions never share their numbers."""
    return zlib.crc32(f"{seed}:{name}".encode())


def joined(pairs: Tensor) -> Tensor:
    """(B, 2 n) of `uniforms` → (B, n) float64 with 48 random bits each: 24 cannot tell a million items well apart."""
    return pairs[:, ::2].double() + pairs[:, 1::2].double() / (1 << 24)


def rng_state() -> dict[str, Any]:
    """State of the global generators of torch, its GPU, numpy and Python, as a checkpoint may hold it."""
    name, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_rng_state(state: dict[str, Any]) -> None:
    """Restore what `rng_state` gave."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))
