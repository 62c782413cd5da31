"""The tables of a judgement cache: made, checked, brought up to date, and what to do where that fails."""

import os
import sqlite3
import time
from pathlib import Path

from ialp.errors import UserError

VERSION = 1
COLUMNS = {0: ["key", "value"], VERSION: ["key", "value", "judge", "asked_at"]}
ANEW = "delete the file to ask anew, or name another one"
WAYS_OUT = {
    sqlite3.SQLITE_FULL: "make room on its disk; what was stored before is whole",
    sqlite3.SQLITE_IOERR: "see that its disk has room and can be reached; what was stored before is whole",
    sqlite3.SQLITE_READONLY: "make it and its folder writable, or name another file",
    sqlite3.SQLITE_CANTOPEN: "make it and its folder writable, or name another file",
    sqlite3.SQLITE_BUSY: "another process holds it; run again when that is done",
    sqlite3.SQLITE_LOCKED: "another process holds it; run again when that is done",
}


def way_out(error: Exception) -> str:
    """What the user can do about an error of SQLite or of the file system."""
    if isinstance(error, OSError):
        return "name a file that can be made there"
    return WAYS_OUT.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ANEW)  # the low byte is the kind


def connect(path: str, patience: float) -> sqlite3.Connection:
    """A connection to the cache at `path`, made where it is missing and migrated where it is old.

    Any thread may use it, if only one does at a time.

    Args:
        path: The file, or ":memory:".
        patience: Seconds to wait for other processes.

    Raises:
        UserError: It is another program's database, or comes from a later version, or may not be written.
        sqlite3.DatabaseError, OSError: As they come.
    """
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise UserError(f"judgement cache {path}: no permission to write it; {WAYS_OUT[sqlite3.SQLITE_READONLY]}")
    connection = sqlite3.connect(path, timeout=patience, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        connection.execute("BEGIN")  # one snapshot: another process may be migrating
        with connection:
            version = checked_version(connection, path)
        if version < VERSION:
            migrate(connection, path)
        use_wal(connection, patience)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def checked_version(connection: sqlite3.Connection, path: str) -> int:
    """The version of its tables; 0 too where there are none yet.

    Raises:
        UserError: They are not a cache's.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(judgements)")]
    if version > VERSION and columns:
        raise UserError(f"judgement cache {path}: made by a later version of ialp; update ialp, or name another file")
    if tables and columns != COLUMNS.get(version):
        raise UserError(f"judgement cache {path}: another program's database; name another file")
    return version


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Version 0 knew key and value alone: the judge of its rows, and their time, stay unknown."""
    connection.execute("BEGIN IMMEDIATE")  # of several processes, one migrates; the others wait and see it done
    with connection:
        if checked_version(connection, path) == VERSION:
            return
        connection.execute("CREATE TABLE IF NOT EXISTS judgements (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        connection.execute("ALTER TABLE judgements ADD COLUMN judge INTEGER NOT NULL DEFAULT 0")
        connection.execute("ALTER TABLE judgements ADD COLUMN asked_at INTEGER")
        connection.execute(
            "CREATE TABLE judges (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL)"
        )
        connection.execute("INSERT INTO judges VALUES (0, '', 'unknown')")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Readers and a writer at once. The switch needs the file to itself, and SQLite does not wait for that."""
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
