"""Every judgement is asked once: log-probabilities of all labels, kept in SQLite."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ialp.errors import UserError

KEYS_PER_QUERY = 500  # older SQLite refuses statements with 1,000 placeholders
BUSY_SECONDS = 60.0


class JudgementCache:
    """A persistent map from a question's key to the (K + 1,) log-probabilities of its labels.

    Several processes may share one file: it is in WAL mode, and every batch is one transaction, so that a killed run
    loses no more than the batch it was asking.

    Args:
        path: The file, made with its folder where it is missing. None keeps the judgements in memory.

    Raises:
        UserError: The file is damaged, no cache, or cannot be written.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = str(path) if path is not None else ":memory:"
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        len(self)  # a damaged file is found now, not after an hour

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """The known ones of `keys`, each with its (K + 1,) float32 log-probabilities."""
        found: dict[bytes, Tensor] = {}
        with self._open() as connection:
            for start in range(0, len(keys), KEYS_PER_QUERY):
                part = keys[start : start + KEYS_PER_QUERY]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, value FROM judgements WHERE key IN ({marks})", part)
                found |= {key: torch.from_numpy(np.frombuffer(value, "<f4").copy()) for key, value in rows}
        return found

    def put_many(self, judgements: Mapping[bytes, Tensor]) -> None:
        """Store a batch in one transaction; what is known already stays as it is."""
        rows = [(key, value.numpy().astype("<f4").tobytes()) for key, value in judgements.items()]
        with self._open() as connection, connection:
            connection.executemany("INSERT OR IGNORE INTO judgements VALUES (?, ?)", rows)

    def __len__(self) -> int:
        with self._open() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM judgements").fetchone()[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """This process's own connection (SQLite's do not survive a fork), with errors that name the file."""
        try:
            if self._connection is None or self._process != os.getpid():
                self._connection, self._process = self._connect(), os.getpid()
            yield self._connection
        except (sqlite3.DatabaseError, OSError, ValueError) as error:
            raise UserError(
                f"judgement cache {self.path}: {error}; delete the file to ask anew, or name another one"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS judgements (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        return connection
