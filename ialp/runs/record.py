"""done.json, the last file that a run writes, and config.yaml of a run that was made in Python."""

import hashlib
import json
import platform
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

import ialp
from ialp.files import write_atomically
from ialp.recorded import Recorded, description
from ialp.runs.folder import CONFIG, DONE

PACKAGES = ("ialp", "torch", "lightning", "transformers", "peft")


def write_done(folder: Path, **entries: Any) -> None:
    """Write done.json with these entries, the time, and the versions of code and packages."""
    done = entries | {
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "code": code_version(),
    }
    write_atomically(folder / DONE, json.dumps(done, indent=2, default=str) + "\n")


def record_run(folder: Path, module: Recorded, data: Recorded, upstream: dict[str, str], results: Any) -> None:
    """Writes what `ialp evaluate`, `recommend` and `export` read; nothing where the run has a config.yaml already.

    Args:
        folder: of the run.
        module: the phase.
        data: its DataModule.
        upstream: folders of the runs that it is built on, by name.
        results: entries of done.json.

    Raises:
        UserError: A part of either cannot be described.
    """
    if (folder / CONFIG).exists():
        return
    seed = torch.initial_seed()
    config = {"seed_everything": seed, "model": description(module), "data": description(data)}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    write_atomically(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    write_done(
        folder,
        stage=type(module).__name__,
        seed=seed,
        fingerprint=digest,
        config=config,
        upstream=upstream,
        results=results,
    )


def code_version() -> str | None:
    """The commit of the checkout, "+changes" where files differ from it; None for an installed package."""
    root = Path(ialp.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
