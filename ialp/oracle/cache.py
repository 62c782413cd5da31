"""Every judgement is asked once: log-probabilities of all labels, kept in SQLite."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ialp.errors import UserError

TABLES = (
    "CREATE TABLE judges (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL)",
    """CREATE TABLE judgements
       (key BLOB PRIMARY KEY, value BLOB, judge INTEGER NOT NULL, asked_at INTEGER NOT NULL) WITHOUT ROWID""",
)
KEYS_PER_QUERY = 500  # older SQLite refuses statements with 1,000 placeholders
BUSY_SECONDS = 60.0
DAY = 86_400
ANEW = "delete the file to ask anew, or name another one"
WRITABLE = "make it and its folder writable, or name another file"
WAYS_OUT = {
    sqlite3.SQLITE_FULL: "make room on its disk; what was stored before is whole",
    sqlite3.SQLITE_IOERR: "see that its disk has room and can be reached; what was stored before is whole",
    sqlite3.SQLITE_READONLY: WRITABLE,
    sqlite3.SQLITE_CANTOPEN: WRITABLE,
    sqlite3.SQLITE_BUSY: "another process holds it; run again when that is done",
}


class JudgeId(NamedTuple):
    """Who answered: `fingerprint` and `name` of a JudgeBackend."""

    fingerprint: str = ""
    name: str = "unknown"


class JudgementCache:
    """A persistent map from a question's key to the (K + 1,) log-probabilities of its labels.

    Several processes may share one file: it is in WAL mode, and every batch is one transaction, so that a killed run
    loses no more than the batch it was asking. The threads of a process take turns. Each judgement knows its judge and
    when it was asked.

    Args:
        path: The file, made with its folder where it is missing. None keeps the judgements in memory.

    Raises:
        UserError: The file is damaged, no cache, or cannot be written.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = str(path) if path is not None else ":memory:"
        self._connection: sqlite3.Connection | None = None
        self._process, self._turn = os.getpid(), threading.RLock()
        len(self)  # a damaged file is found now, not after an hour

    def get_many(self, keys: Sequence[bytes], labels: int | None = None) -> dict[bytes, Tensor]:
        """The known ones of `keys`, each with its (K + 1,) float32 log-probabilities.

        Raises:
            UserError: One of them is not of `labels` (K + 1) numbers.
        """
        found: dict[bytes, Tensor] = {}
        with self.open() as connection:
            for start in range(0, len(keys), KEYS_PER_QUERY):
                part = keys[start : start + KEYS_PER_QUERY]
                marks = ",".join("?" * len(part))
                for key, value in connection.execute(f"SELECT key, value FROM judgements WHERE key IN ({marks})", part):
                    if not isinstance(value, bytes) or labels not in (None, len(value) / 4):
                        message = f"judgement cache {self.path}: a judgement is not of {labels} numbers; {ANEW}"
                        raise UserError(message)
                    found[key] = torch.from_numpy(np.frombuffer(value, "<f4").copy())
        return found

    def put_many(self, judgements: Mapping[bytes, Tensor], judge: JudgeId | None = None) -> None:
        """Store a batch that `judge` answered just now, in one transaction; what is known already stays as it is."""
        judge, now = judge or JudgeId(), int(time.time())
        rows = [(key, value.numpy().astype("<f4").tobytes(), now) for key, value in judgements.items()]
        with self.open() as connection, connection:
            connection.execute("INSERT OR IGNORE INTO judges (fingerprint, name) VALUES (?, ?)", judge)
            query = "SELECT id FROM judges WHERE fingerprint = ?"
            [number] = connection.execute(query, (judge.fingerprint,)).fetchone()
            query = "INSERT OR IGNORE INTO judgements (key, value, asked_at, judge) VALUES (?, ?, ?, ?)"
            connection.executemany(query, [(*row, number) for row in rows])

    def stats(self) -> list[tuple[str, str, int, int, int]]:
        """Per judge: name, fingerprint, number of judgements, and the unix seconds of the first and the last."""
        query = """SELECT name, fingerprint, COUNT(*), MIN(asked_at), MAX(asked_at)
                   FROM judgements JOIN judges ON id = judge GROUP BY id ORDER BY name, fingerprint"""
        with self.open() as connection:
            return connection.execute(query).fetchall()

    def prune(self, judge: str | None, older_than: float | None) -> int:
        """Remove judgements, and give the room back to the disk; how many.

        Only those of `judge`, a name or the beginning of a fingerprint; only those `older_than` so many days.
        """
        where, values = "1", list[Any]()
        if judge is not None:
            where = "judge IN (SELECT id FROM judges WHERE name = ? OR substr(fingerprint, 1, length(?)) = ?)"
            values = [judge, judge, judge]
        if older_than is not None:
            where += " AND asked_at < ?"
            values.append(time.time() - older_than * DAY)
        with self.open() as connection:
            with connection:
                count = connection.execute(f"DELETE FROM judgements WHERE {where}", values).rowcount
                connection.execute("DELETE FROM judges WHERE id NOT IN (SELECT judge FROM judgements)")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def __len__(self) -> int:
        with self.open() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM judgements").fetchone()[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """This process's own connection, for one thread at a time, with errors that name the file and the way out."""
        if self._process != os.getpid():  # a fork: neither SQLite's connections nor a lock that is held survive it
            self._connection, self._process, self._turn = None, os.getpid(), threading.RLock()
        with self._turn:
            try:
                if self._connection is None:
                    self._connection = connect(self.path)
                yield self._connection
            except OSError as error:
                message = f"judgement cache {self.path}: {error}; name a file that can be made there"
                raise UserError(message) from error
            except sqlite3.DatabaseError as error:
                way_out = WAYS_OUT.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ANEW)  # the low byte is the kind
                raise UserError(f"judgement cache {self.path}: {error}; {way_out}") from error


def connect(path: str) -> sqlite3.Connection:
    """A connection to the cache at `path`, made where it is missing; any thread may use it, one at a time."""
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        connection.execute("BEGIN IMMEDIATE")  # of several processes one makes the tables; refused if it is read-only
        with connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(judgements)")]
            if not connection.execute("SELECT * FROM sqlite_master").fetchone():
                for table in TABLES:
                    connection.execute(table)
            elif columns != ["key", "value", "judge", "asked_at"]:
                raise UserError(f"judgement cache {path}: another program's database; name another file")
        use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def use_wal(connection: sqlite3.Connection) -> None:
    """Readers and a writer at once. The switch needs the file to itself, and SQLite does not wait for that."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
