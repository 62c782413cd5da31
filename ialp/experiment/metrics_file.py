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

Row = dict[str, Any]


class MetricsFile(Logger):
    """Logs to metrics.csv in a run's folder; on the first rank alone.

    Lightning's CSVLogger would delete what the folder holds, and rewrites the file in place.

    Args:
        folder: of the run.

    Attributes:
        rows: what the file holds, and what `save` will append.
    """

    name = version = ""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder, self.path = Path(folder), Path(folder) / "metrics.csv"
        self.rows: list[Row] = []
        if self.path.is_file():
            with self.path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))
        self._saved, self._columns = len(self.rows), list(self.rows[0]) if self.rows else []

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
        if len(self.rows) - self._saved >= 20:
            self.save()

    @override
    @rank_zero_only
    def save(self) -> None:
        new, self._saved = self.rows[self._saved :], len(self.rows)
        columns = sorted({*self._columns, *(name for row in new for name in row)})
        if columns != self._columns:  # the whole file, at once or not at all
            self._columns = columns
            write_atomically(self.path, self._csv(self.rows, header=True))
        elif new:
            with self.path.open("a", newline="") as file:
                file.write(self._csv(new, header=False))

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @rank_zero_only
    def rewind(self, rows: int) -> None:
        """Forget all but the first rows, and the columns that came later."""
        self.rows = [{name: value for name, value in row.items() if value != ""} for row in self.rows[:rows]]
        self._saved, self._columns = 0, []
        self.save()
        if not rows:
            self.path.unlink(missing_ok=True)

    def _csv(self, rows: list[Row], header: bool) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
