"""metrics.csv of a run, which a resumed run goes on with where its checkpoint was."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from ialp.files import write_atomically


class MetricsFile(Logger):
    """Logs to metrics.csv in a run's folder; on the first rank alone.

    Lightning's CSVLogger would delete what the folder holds, and rewrites the file in place. This one writes it as a
    whole, the later the longer it is, and whenever a checkpoint is written. `rows` are those saved and those to come.
    """

    name = version = ""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder, self.path = Path(folder), Path(folder) / "metrics.csv"
        self.rows: list[dict[str, Any]] = []
        if self.path.is_file():
            with self.path.open(newline="") as file:
                self.rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
        self._saved = len(self.rows)

    @property
    @override
    def save_dir(self) -> str:
        return str(self.folder)

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml has them."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        values = {name: value.item() if hasattr(value, "item") else value for name, value in metrics.items()}
        self.rows.append({**values, "step": step})
        if len(self.rows) - self._saved >= 20 + self._saved // 20:
            self.save()

    @override
    @rank_zero_only
    def save(self) -> None:
        if self._saved == len(self.rows):
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, sorted({name for row in self.rows for name in row}))
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue())
        self._saved = len(self.rows)

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @rank_zero_only
    def rewind(self, rows: int) -> None:
        """Forget all but the first rows, and the columns that came later."""
        self.rows, self._saved = self.rows[:rows], 0
        self.save()
        if not rows:
            self.path.unlink(missing_ok=True)
