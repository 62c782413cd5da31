"""What a run's folder holds; absent and damaged files read as empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ialp.runs.folder import CONFIG, DONE, read_json

REFERENCES = {"random": "random", "popularity": "popularity", "text_similarity": "most similar", "greedy": "greedy"}
"""Key in references.json -> the policy's name in tables and figures, in the order of showing."""
FIGURES = ("return", "length", "average_reward")


@dataclass(frozen=True)
class RunData:
    """One run of one stage, and through `lineage` the runs it was built on."""

    folder: Path

    @cached_property
    def done(self) -> dict[str, Any]:
        """done.json, of a finished run."""
        return read_json(self.folder / DONE) or {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml: the settings that the run was started with."""
        try:
            content = yaml.safe_load((self.folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def name(self) -> str:
        """The config's name; runs lie in <config>/<seed>-<fingerprint>."""
        return self.folder.absolute().parent.name

    def class_of(self, part: str) -> str:
        """Class name of a constructor argument of the run's LightningModule, such as "scheme"; "" where not set."""
        chosen = ((self.config.get("model") or {}).get("init_args") or {}).get(part)
        return str(chosen.get("class_path", "")).rpartition(".")[2] if isinstance(chosen, dict) else ""

    @property
    def results(self) -> dict[str, Any]:
        """What the stage measured."""
        return self.done.get("results") or {}

    @cached_property
    def upstream(self) -> dict[str, "RunData"]:
        """The runs this one was built on, by the key that its config gives them."""
        return {key: RunData(self._find(Path(folder))) for key, folder in (self.done.get("upstream") or {}).items()}

    def _find(self, folder: Path) -> Path:
        """The folder as it was named, or beside this run where the runs were moved or named from elsewhere."""
        peer = self.folder.absolute().parent.parent / folder.parent.name / folder.name
        return peer if peer.is_dir() and not folder.is_dir() else folder

    @cached_property
    def lineage(self) -> list["RunData"]:
        """This run and all it was built on, each once, inputs before what uses them."""
        found: dict[Path, RunData] = {}
        for run in self.upstream.values():
            found.update((ancestor.folder, ancestor) for ancestor in run.lineage)
        return [*found.values(), self]

    @property
    def world(self) -> "RunData | None":
        """The reward run whose users this run was measured on: itself, or the latest that it was built on."""
        return next((run for run in reversed(self.lineage) if (run.folder / "world").is_dir()), None)

    def evaluation(self) -> pl.DataFrame:
        """Rows of evaluation.csv: policy, epoch, environment_steps, return, length, average_reward and sampled_…

        The frozen policy is measured once: its row is repeated at every epoch at which the other was measured.
        """
        measured = _read_csv(self.folder / "evaluation.csv", ["policy", "epoch", "environment_steps", *FIGURES])
        frozen, moving = measured.filter(pl.col("policy") == "frozen"), measured.filter(pl.col("policy") != "frozen")
        if len(frozen) != 1 or not len(moving):
            return measured
        when = moving.select("epoch", "environment_steps")
        held = frozen.drop("epoch", "environment_steps").join(when, how="cross").select(measured.columns)
        return pl.concat([moving, held])

    def training(self) -> pl.DataFrame:
        """Means over the latest 20 training episodes: environment_steps, return, length."""
        columns = ["train/environment_steps", "train/return", "train/length"]
        logged = _read_csv(self.folder / "metrics.csv", columns).select(columns).drop_nulls()
        return logged.rename({column: column.removeprefix("train/") for column in columns}).sort("environment_steps")

    def references(self) -> dict[str, Mapping[str, float]]:
        """Reference policies of the world this run was measured in: name -> return, length, average_reward."""
        for run in reversed(self.lineage):
            if measured := read_json(run.folder / "references.json"):
                return {name: measured[key] for key, name in REFERENCES.items() if key in measured}
        return {}


def _read_csv(path: Path, columns: list[str]) -> pl.DataFrame:
    """A table with at least these columns, without rows where the file lacks one of them."""
    try:
        table = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError):
        table = pl.DataFrame()
    return table if set(columns) <= set(table.columns) else pl.DataFrame(schema=columns)
