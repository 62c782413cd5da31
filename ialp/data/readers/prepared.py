"""The prepared folder: a log checked once, compact, and sealed by hashes."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from ialp import __version__
from ialp.data.log import DEFAULT_SPLIT, Log, PromptWords, Split
from ialp.data.readers.file_log import ITEM, FileLog, RawLog
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.pipeline import check_items
from ialp.data.readers.table import PARQUET_ERRORS, broken_parquet
from ialp.errors import UserError
from ialp.recorded import description

MANIFEST, ITEMS, INTERACTIONS = "manifest.json", "items.parquet", "interactions.parquet"
FORMAT = 1
KEYS = {"format": int, "name": str, "attributes": list, "words": dict, "counts": dict, "files": dict}
TYPES = {"sequence": pl.UInt32, "item": pl.UInt32, "timestamp": pl.Float64}


class PreparedLog(FileLog):
    """A folder that `ialp data prepare` has written. Its hashes are verified whenever it is read.

    Args:
        root: The folder.
        attributes: What makes an item's text, in this order; null takes what the folder has.
        words: Words of the judge's prompt; null takes the folder's.
        max_words: Every attribute is cut to so many words.
        split: Which sequences make the test world.
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
        for name in (ITEMS, INTERACTIONS):
            _verify(folder / name, manifest["files"].get(name) or {}, intake)
        texts = dict.fromkeys([ITEM, *manifest["attributes"]], pl.String)
        items = _read(folder / ITEMS, texts, intake)
        items = intake.drop_or_raise(folder / ITEMS, items, pl.col(ITEM) == "", "item without an id")
        items = check_items(folder / ITEMS, items, ITEM, manifest["attributes"], intake)
        rows = _check_interactions(folder / INTERACTIONS, items.height, intake)
        raw = RawLog(items.drop(LINE), rows.drop(LINE))
        for name, value in raw.counts.items():
            if abs(manifest["counts"].get(name, -1) - value) > 1e-9:
                found = f"counts.{name} is {manifest['counts'].get(name)}, the tables have {value}"
                intake.fail(UserError(f"{folder / MANIFEST}: {found}: prepare the log again"))
        return raw


def write_prepared(source: FileLog, out: Path, intake: Intake, overwrite: bool = False) -> dict[str, Any]:
    """Read a log and write it to the folder `out`, which is whole or not there at all.

    Args:
        source: What reads it.
        out: The folder.
        intake: What becomes of bad rows.
        overwrite: A prepared folder at `out` is replaced.

    Returns:
        The manifest.

    Raises:
        UserError: The log cannot be used, or `out` exists.
    """
    _check_place(out, overwrite)
    raw = source.read(intake)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
            made = Path(work) / "new"
            made.mkdir()
            manifest = _write(made, raw, source, intake)
            if out.exists():
                os.replace(out, Path(work) / "old")
            os.replace(made, out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}: it cannot be written") from None
    return manifest


def _check_place(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise UserError(f"{out} exists and is no prepared folder: name another place with --out")
    if not overwrite:
        raise UserError(f"{out} is a prepared folder already: say --overwrite true, or name another place with --out")


def _write(folder: Path, raw: RawLog, source: FileLog, intake: Intake) -> dict[str, Any]:
    raw.items.write_parquet(folder / ITEMS, compression="zstd")
    raw.interactions.write_parquet(folder / INTERACTIONS, compression="zstd")
    manifest = {
        "format": FORMAT,
        "name": source.name,
        "attributes": source.attributes,
        "words": asdict(source.words),
        "counts": raw.counts,
        "cleaned": {what: asdict(finding) for what, finding in intake.cleaned.items()},
        "bad_rows": intake.bad_rows,
        "reader": description(source),
        "sources": {str(path): seal(path) for path in dict.fromkeys(intake.sources)},
        "files": {name: seal(folder / name) for name in (ITEMS, INTERACTIONS)},
        "ialp": __version__,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in (ITEMS, INTERACTIONS, MANIFEST):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    return manifest


def seal(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, with the keys that a reader needs.

    Raises:
        UserError: It is missing or is not what `ialp data prepare` writes.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: a prepared folder has it; see ialp data prepare --help") from None
    except ValueError as error:  # no JSON, or no UTF-8
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{path}{line}: not JSON ({error}): prepare the log again") from None
    for key, kind in KEYS.items():
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), kind):
            raise UserError(f"{path}: no {key}, or none of the right kind: prepare the log again")
    if manifest["format"] != FORMAT:
        raise UserError(f"{path}: format {manifest['format']}, this version reads {FORMAT}: prepare the log again")
    return manifest


def _verify(path: Path, sealed: Mapping[str, Any], intake: Intake) -> None:
    """The file's hash is the manifest's."""
    try:
        found = seal(path)["sha256"]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: prepare the log again") from None
    if found != sealed.get("sha256"):
        hashes = f"sha256 is {found[:12]}…, {MANIFEST} says {str(sealed.get('sha256'))[:12]}…"
        intake.fail(UserError(f"{path}: {hashes}: it has changed since it was prepared; prepare the log again"))


def _read(path: Path, types: Mapping[str, Any], intake: Intake) -> pl.DataFrame:
    """The table with `_line`, the number of the row."""
    try:
        with intake.open(path):
            table = pl.read_parquet(path)
    except PARQUET_ERRORS as error:
        raise broken_parquet(path, error) from None
    for name, kind in types.items():
        if table.schema.get(name) != kind:
            found = table.schema.get(name, "missing")
            raise UserError(f"{path}: column {name} is {found}, not {kind}: prepare the log again")
    return table.select(list(types)).with_row_index(LINE, offset=1)


def _check_interactions(path: Path, num_items: int, intake: Intake) -> pl.DataFrame:
    """The interactions, in the order and range that a prepared log promises."""
    rows = _read(path, TYPES, intake)
    sequence, item, timestamp = (pl.col(name) for name in TYPES)
    step = sequence.cast(pl.Int64).diff().fill_null(2 * sequence.cast(pl.Int64))  # the first is 0
    backwards = ((timestamp.diff() < 0) & (sequence.diff() == 0)).fill_null(False)
    for bad, name, message in (
        (~item.is_between(1, num_items), "item", f"items are 1 to {num_items}"),
        (~timestamp.is_finite(), "timestamp", "no time"),
        (~step.is_in([0, 1]), "sequence", "it rises by 1 from 0"),
        (backwards, "timestamp", "less than before"),
        (pl.len().over("sequence") < 2, "sequence", "a sequence needs two items"),
    ):
        rows = intake.drop_or_raise(path, rows, bad, f"column {name} is {{}}: {message}", name)
    return rows
