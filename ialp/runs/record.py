"""config.yaml and done.json of a run that a Trainer made in Python, without the command line."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from ialp.files import write_atomically
from ialp.recorded import Recorded, description
from ialp.runs.folder import DONE
from ialp.runs.provenance import code_version, versions


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
    if (folder / "config.yaml").exists():
        return
    seed = torch.initial_seed()
    config = {"seed_everything": seed, "model": description(module), "data": description(data)}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    done: dict[str, Any] = {
        "stage": type(module).__name__,
        "seed": seed,
        "fingerprint": digest,
        "config": config,
        "upstream": upstream,
        "results": results,
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "code": code_version(),
    }
    write_atomically(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_atomically(folder / DONE, json.dumps(done, indent=2, default=str) + "\n")
