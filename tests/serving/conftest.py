"""Folders as finished runs leave them, with small policies of all kinds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ialp.data import BuiltinLog, Log
from ialp.data.readers import CoatLog
from ialp.nets import ActorCritic
from ialp.rl.schemes.saved import MIXTURE, SavedPolicy
from ialp.serving.opening import FinishedRun
from tests.helpers.coat_files import write_coat

TRACKS = {"num_tracks": 60, "num_sessions": 40}
MAX_LENGTH = 6

Shares = dict[str, tuple[float, ActorCritic]]


def policy_for(log: Log, seed: int, q_temperature: float | None = None) -> ActorCritic:
    """A random one that is sure of something: not a uniform one, which any policy would equal."""
    torch.manual_seed(seed)
    policy = ActorCritic(
        **log.sizes, dim=16, layers=2, heads=2, max_length=MAX_LENGTH, dropout=0.1, q_temperature=q_temperature
    )
    policy.encoder.set_user_features(log.user_features)
    for head in (policy.actor, policy.critic):
        torch.nn.init.normal_(head.weight, std=0.5)
        torch.nn.init.normal_(head.bias, std=0.5)
    return policy


def shares_of(kind: str, log: Log) -> tuple[Shares, bool]:
    """The policies of a run, by folder, and whether items may be repeated."""
    if kind == "mixture":  # one of them acts by its Q; another has no share any more
        parts = {"frozen": (0.3, policy_for(log, 1)), "policy": (0.7, policy_for(log, 2, q_temperature=0.5))}
        return {"idle": (0.0, policy_for(log, 3)), **parts}, False
    if kind == "repeats":
        return {"policy": (1.0, policy_for(log, 4))}, True
    return {"policy": (1.0, policy_for(log, 5, q_temperature=0.5 if kind == "q" else None))}, False


def source_of(kind: str, root: Path) -> dict[str, Any]:
    """`log` in the config of a run."""
    if kind == "users":
        if not (root / "coat").exists():
            write_coat(root)
        return {"class_path": "ialp.data.readers.CoatLog", "init_args": {"root": str(root)}}
    return {"class_path": "ialp.data.BuiltinLog", "init_args": TRACKS}


def write_run(folder: Path, source: dict[str, Any], log: Log, shares: Shares, repeats: bool = False) -> Path:
    """What `ialp fit` leaves, as far as serving goes."""
    for name, (_, policy) in shares.items():
        policy.save_pretrained(folder / name, log.catalogue.fingerprint)
    weights = {name: weight for name, (weight, _) in shares.items()}
    acting = {"class_path": SavedPolicy.saved_class, "repeats": repeats}
    (folder / MIXTURE).write_text(json.dumps({"weights": weights, **acting}))
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"log": source}}}))
    (folder / "done.json").write_text(json.dumps({"stage": folder.parent.name, "seed": 0, "fingerprint": "f" * 64}))
    return folder


@pytest.fixture(scope="package")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run of a kind: plain, q, mixture, repeats or users. They are made once, and only read."""
    place = tmp_path_factory.mktemp("serving")

    def folder(kind: str) -> Path:
        made = place / "runs" / f"tiny_{kind}" / "0-ffffffff"
        if not made.exists():
            source = source_of(kind, place)
            log = CoatLog(str(place)).load() if kind == "users" else BuiltinLog(**TRACKS).load()
            write_run(made, source, log, *shares_of(kind, log))
        return made

    return folder


def counting(log: Log, folder: Path, max_length: int = MAX_LENGTH) -> FinishedRun:
    """A run whose policy, whatever was shown, prefers item i in proportion to i."""
    policy = ActorCritic(**log.sizes, dim=8, layers=1, heads=2, max_length=max_length)
    torch.nn.init.zeros_(policy.actor.weight)
    with torch.no_grad():
        policy.actor.bias.copy_(torch.arange(log.catalogue.num_items + 1).clamp(min=1).log())
    return FinishedRun(folder, SavedPolicy([1.0], [policy]).eval(), log, {})


def histories(log: Log, batch: int, time: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) random histories and lengths (B,), the first row as long as it may be."""
    num_items, num_users = log.catalogue.num_items, len(log.user_features)
    generator = torch.Generator().manual_seed(batch * 100 + time)
    items = torch.randint(1, num_items + 1, (batch, time), generator=generator)
    if num_users:
        items[:, 0] = num_items + 1 + torch.randint(num_users, (batch,), generator=generator)
    length = torch.randint(1, time + 1, (batch,), generator=generator)
    length[0] = time
    return items * (torch.arange(time) < length.unsqueeze(1)), length
