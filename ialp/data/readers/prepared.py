"""The prepared folder: a log checked once, compact, and sealed by hashes."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from ialp import __version__
from ialp.data.log import Log
from ialp.data.readers.file_log import ITEM, FileLog, RawLog, sift_items
from ialp.data.readers.intake import LINE, Intake
from ialp.errors import UserError
from ialp.recorded import description

MANIFEST, ITEMS, INTERACTIONS = "manifest.json", "items.parquet", "interactions.parquet"
FORMAT = 1
DESCRIBED = ("name", "attributes", "scenario", "item_word", "behavior")
KEYS = {"format": int, **dict.fromkeys(DESCRIBED, str), "attributes": list, "counts": dict, "files": dict}
TYPES = {"sequence": pl.UInt32, "item": pl.UInt32, "timestamp": pl.Float64}


class PreparedLog(FileLog):
    """A folder that `ialp data prepare` has written. Its hashes are verified whenever it is read.

    Args:
        root: The folder.
        attributes: What makes an item's text, in this order; null takes what the folder has.
        scenario: Kind of platform, as the prompt names it; null takes the folder's.
        item_word: What is recommended, as the prompt names it; null takes the folder's.
        behavior: What users do with it, as the prompt names it; null takes the folder's.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sequences that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        root: str,
        attributes: list[str] | None = None,
        scenario: str | None = None,
        item_word: str | None = None,
        behavior: str | None = None,
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        words = scenario or "", item_word or "", behavior or ""  # load() asks the manifest for what is empty
        super().__init__("", attributes or [], *words, max_words, test_fraction, split_seed)
        self.root = root

    def load(self) -> Log:
        """Read the folder and split the sequences; what the arguments leave open, the manifest says."""
        manifest = read_manifest(Path(self.root))
        for key in DESCRIBED:
            setattr(self, key, getattr(self, key) or manifest[key])
        if unknown := [name for name in self.attributes if name not in manifest["attributes"]]:
            known = ", ".join(manifest["attributes"])
            raise UserError(f"{Path(self.root) / MANIFEST}: attributes has {unknown[0]}: the folder has {known}")
        return super().load()

    def read(self, intake: Intake) -> RawLog:
        """Both tables, verified: hashes, ids, texts, order and counts."""
        folder = Path(self.root)
        manifest = read_manifest(folder)
        for name in (ITEMS, INTERACTIONS):
            _verify(folder / name, manifest["files"].get(name) or {}, intake)
        texts = dict.fromkeys([ITEM, *manifest["attributes"]], pl.String)
        items = _check_items(folder / ITEMS, _read(folder / ITEMS, texts, intake), manifest["attributes"], intake)
        rows = _read(folder / INTERACTIONS, TYPES, intake)
        raw = RawLog(items, _check_interactions(folder / INTERACTIONS, rows, items.height, intake))
        for name, value in raw.counts.items():
            if abs(manifest["counts"].get(name, -1) - value) > 1e-9:
                said = f"{folder / MANIFEST}: counts.{name} is {manifest['counts'].get(name)}, the tables have {value}"
                intake.fail(UserError(f"{said}: prepare the log again"))
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
        made = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            manifest = _write(made, raw, source, intake)
            made.chmod(0o755)  # mkdtemp's folders are their owner's alone
            _move(made, out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
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
        **{key: getattr(source, key) for key in DESCRIBED},
        "counts": raw.counts,
        "cleaned": {what: asdict(finding) for what, finding in intake.cleaned.items()},
        "bad_rows": intake.bad_rows,
        "reader": description(source),
        "sources": {str(path): _seal(path) for path in dict.fromkeys(intake.sources)},
        "files": {name: _seal(folder / name) for name in (ITEMS, INTERACTIONS)},
        "ialp": __version__,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in (ITEMS, INTERACTIONS, MANIFEST):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    return manifest


def _move(made: Path, out: Path) -> None:
    """To its place, in one step; an older folder goes when the new one stands."""
    if not (out / MANIFEST).exists():
        os.replace(made, out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
    os.replace(out, old)
    os.replace(made, out)
    shutil.rmtree(old)


def _seal(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, with the keys that a reader needs.

    Raises:
        UserError: It is missing or is not what `ialp data prepare` writes.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: a prepared folder has it; see ialp data prepare --help") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}): prepare the log again") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text: prepare the log again") from None
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: not what ialp data prepare writes: prepare the log again")
    for key, kind in KEYS.items():
        if not isinstance(manifest.get(key), kind):
            raise UserError(f"{path}: no {key}, or none of the right kind: prepare the log again")
    if manifest["format"] != FORMAT:
        raise UserError(f"{path}: format {manifest['format']}, this version reads {FORMAT}: prepare the log again")
    return manifest


def _verify(path: Path, sealed: Mapping[str, Any], intake: Intake) -> None:
    """The file's hash is the manifest's."""
    try:
        found = _seal(path)["sha256"]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: prepare the log again") from None
    if found != sealed.get("sha256"):
        said = f"sha256 is {found[:12]}…, {MANIFEST} says {str(sealed.get('sha256'))[:12]}…"
        intake.fail(UserError(f"{path}: {said}: it has changed since it was prepared; prepare the log again"))


def _read(path: Path, types: Mapping[str, Any], intake: Intake) -> pl.DataFrame:
    """The table with `_line`, the number of the row."""
    try:
        with intake.open(path):
            table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{path}: no whole Parquet file ({reason}): prepare the log again") from None
    for name, kind in types.items():
        if table.schema.get(name) != kind:
            raise UserError(
                f"{path}: column {name} is {table.schema.get(name, 'missing')}, not {kind}: prepare it again"
            )
    return table.select(list(types)).with_row_index(LINE, offset=1)


def _check_items(path: Path, rows: pl.DataFrame, attributes: list[str], intake: Intake) -> pl.DataFrame:
    rows = intake.drop_or_raise(path, rows, pl.col(ITEM) == "", "item without an id")
    return sift_items(path, rows, ITEM, attributes, intake).drop(LINE)


def _check_interactions(path: Path, rows: pl.DataFrame, num_items: int, intake: Intake) -> pl.DataFrame:
    known = pl.col("item").is_between(1, num_items)
    rows = intake.drop_or_raise(path, rows, ~known, f"column item is {{}}: items are 1 to {num_items}", "item")
    rows = intake.drop_or_raise(
        path, rows, ~pl.col("timestamp").is_finite(), "column timestamp is {}: no time", "timestamp"
    )
    step = pl.col("sequence").cast(pl.Int64).diff().fill_null(2 * pl.col("sequence").cast(pl.Int64))  # the first is 0
    rows = intake.drop_or_raise(
        path, rows, ~step.is_in([0, 1]), "column sequence is {}: it rises by 1 from 0", "sequence"
    )
    backwards = (pl.col("timestamp").diff() < 0) & (pl.col("sequence").diff() == 0)
    rows = intake.drop_or_raise(
        path, rows, backwards.fill_null(False), "column timestamp is {}: less than before", "timestamp"
    )
    short = pl.len().over("sequence") < 2
    return intake.drop_or_raise(
        path, rows, short, "column sequence is {}: a sequence needs two items", "sequence"
    ).drop(LINE)
