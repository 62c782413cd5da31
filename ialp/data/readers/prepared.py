"""The prepared folder: a log checked once, compact, and sealed by hashes."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from ialp import __version__
from ialp.data.log import DEFAULT_SPLIT, Log, PromptWords, Split
from ialp.data.readers.file_log import FileLog, RawLog
from ialp.data.readers.intake import Intake
from ialp.errors import UserError
from ialp.recorded import description

MANIFEST, ITEMS, INTERACTIONS = "manifest.json", "items.parquet", "interactions.parquet"


class PreparedLog(FileLog):
    """A folder that `ialp data prepare` has written. Its hashes are verified whenever it is read.

    Args:
        root: The folder.
        attributes: What makes an item's text, in this order; null takes what the folder has.
        words: Words of the judge's prompt; null takes the folder's.
        max_words, split: As in `FileLog`.
    """

    def __init__(
        self,
        root: str,
        attributes: list[str] | None = None,
        words: PromptWords | None = None,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ) -> None:
        self.root, self.given = root, (attributes, words, max_words, split)
        self.name, self.attributes = Path(root).name, attributes or []  # until the manifest is read

    @override
    def load(self) -> Log:
        manifest, (attributes, words, max_words, split) = read_manifest(Path(self.root)), self.given
        known = manifest["attributes"]
        words = words or PromptWords(**manifest["words"])
        super().__init__(manifest["name"], attributes or known, words, max_words, split, known=known)
        return super().load()

    @override
    def read(self, intake: Intake) -> RawLog:
        folder = Path(self.root)
        manifest = read_manifest(folder)
        items, interactions = (_read(folder / name, manifest, intake) for name in (ITEMS, INTERACTIONS))
        return RawLog(items, interactions)


def _read(path: Path, manifest: dict[str, Any], intake: Intake) -> pl.DataFrame:
    with intake.open(path):
        if sha256(path) != manifest["files"].get(path.name):
            raise UserError(f"{path}: its sha256 is not that of {MANIFEST}: it has changed; prepare the log again")
        return pl.read_parquet(path)


def write_prepared(source: FileLog, out: Path, intake: Intake) -> dict[str, Any]:
    """Read a log and write it to the folder `out`, which is whole or not there at all; returns the manifest.

    Raises:
        UserError: The log cannot be used, or `out` exists.
    """
    if out.exists():
        raise UserError(f"{out} exists: remove it, or name another place with --out")
    raw = source.read(intake)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
            made = Path(work) / "new"
            made.mkdir()
            manifest = _write(made, raw, source, intake)
            os.replace(made, out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}: it cannot be written") from None
    return manifest


def _write(folder: Path, raw: RawLog, source: FileLog, intake: Intake) -> dict[str, Any]:
    raw.items.write_parquet(folder / ITEMS, compression="zstd")
    raw.interactions.write_parquet(folder / INTERACTIONS, compression="zstd")
    manifest = {
        "name": source.name,
        "attributes": source.attributes,
        "words": asdict(source.words),
        "counts": raw.counts,
        "cleaned": {what: asdict(finding) for what, finding in (intake.cleaned | intake.problems).items()},
        "bad_rows": "drop" if intake.drop else "refuse",
        "reader": description(source),
        "sources": {str(path): sha256(path) for path in dict.fromkeys(intake.sources)},
        "files": {name: sha256(folder / name) for name in (ITEMS, INTERACTIONS)},
        "ialp": __version__,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a reader needs of manifest.json.

    Raises:
        UserError: It is missing or is not what `ialp data prepare` writes.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        return {name: manifest[name] for name in ("name", "attributes", "words", "files")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: no manifest of ialp data prepare ({error!r}): prepare the log again") from None
