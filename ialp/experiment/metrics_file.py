"""metrics.csv of a run, which a resumed run goes on with where its checkpoint was."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from ialp.files import write_atomically


class MetricsWriter(ExperimentWriter):
    """Lightning's writer, which would delete what the folder holds, and rewrites a file in place."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.path = Path(self.metrics_file_path)
        self.written = self._read()

    @property
    def rows(self) -> int:
        """So many rows are in the file."""
        return len(self.written)

    def save(self) -> None:
        """Append the new rows; a new column rewrites the file, whole or not at all."""
        if not self.metrics:
            return
        new, self.metrics = self.metrics, []
        self.written += new
        keys = sorted(set(self.metrics_keys).union(*new))
        if keys != self.metrics_keys or not self.path.is_file():
            self.metrics_keys = keys
            write_atomically(self.path, _csv(keys, self.written, header=True))
            return
        with self.path.open("a", newline="") as file:
            file.write(_csv(keys, new, header=False))

    def rewind(self, rows: int) -> None:
        """Forget all but the first rows, and columns that came later."""
        kept = [{key: value for key, value in row.items() if value != ""} for row in self.written[:rows]]
        self.metrics, self.written = [], kept
        self.metrics_keys = sorted({key for row in kept for key in row})
        write_atomically(self.path, _csv(self.metrics_keys, kept, header=True))

    def _check_log_dir_exists(self) -> None:
        """Nothing is deleted."""

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            self.metrics_keys = list(reader.fieldnames or [])
        return rows


class MetricsFile(CSVLogger):
    """metrics.csv in a run's folder."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, on the first rank alone."""
        if self._experiment is None:
            self._experiment = MetricsWriter(self.log_dir)
        return self._experiment


def _csv(keys: list[str], rows: list[dict[str, Any]], header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, keys)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
