"""Files of text in blocks of whole lines, plain or gzip, with the numbers of the lines."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from ialp.data.readers.intake import LINE, Intake
from ialp.errors import UserError

BLOCK = 2**24  # bytes: memory follows the block, not the file
PIECE = 2**20
MAX_LINE = 2**24  # bytes
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"PAR1": "a Parquet file: name it .parquet",
    b"\xff\xfe": "UTF-16, not UTF-8 text: save the file as UTF-8",
    b"\xfe\xff": "UTF-16, not UTF-8 text: save the file as UTF-8",
}


def read_blocks(path: Path, intake: Intake) -> Iterator[tuple[int, str]]:
    """Blocks of whole lines, each with the number of its first line; line ends are as in the file.

    A byte order mark is left out. Files that begin like gzip are unpacked, whatever their name.

    Raises:
        UserError: The file cannot be opened, is empty, not UTF-8, not text, a gzip file that is damaged or ends early,
            or has a line of more than 16 MiB. The message names the line.
    """
    with intake.open(path) as raw:
        number, rest = 1, bytearray()
        for piece in _pieces(path, raw, intake):
            rest += piece
            end = rest.rfind(b"\n") + 1
            if len(rest) - end > MAX_LINE:
                line = number + rest.count(b"\n")
                raise UserError(f"{path}:{line}: a line of more than {MAX_LINE >> 20} MiB: the file is damaged")
            if len(rest) >= BLOCK and end:
                block, rest = bytes(rest[:end]), rest[end:]
                yield number, _decode(path, number, block)
                number += block.count(b"\n")
        if rest:
            yield number, _decode(path, number, bytes(rest))


def _pieces(path: Path, raw: BinaryIO, intake: Intake) -> Iterator[bytes]:
    """The unpacked bytes, a piece at a time."""
    start, size = raw.read(4), path.stat().st_size
    raw.seek(0)
    for magic, what in OTHER_KINDS.items():
        if start.startswith(magic):
            raise UserError(f"{path}:1: {what}")
    packed = start.startswith(b"\x1f\x8b")
    if path.suffix == ".gz" and not packed:
        raise UserError(f"{path}:1: not a gzip file, though it is named so: download it again or rename it")
    file = gzip.GzipFile(fileobj=raw) if packed else raw
    lines, at_start = 1, True
    try:
        while piece := file.read1(PIECE):  # type: ignore[union-attr]
            lines += piece.count(b"\n")
            intake.progress(path, raw.tell(), size)
            yield piece.removeprefix(BYTE_ORDER_MARK) if at_start else piece
            at_start = False
    except EOFError:
        raise UserError(f"{path}:{lines}: the gzip file ends in the middle of this line: download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}:{lines}: the gzip file is damaged here ({error}): download it again") from None


def _decode(path: Path, number: int, data: bytes) -> str:
    """UTF-8 text without NUL; `number` is that of the first line."""
    text, wrong = "", len(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.start
    if (nul := data.find(b"\0", 0, wrong)) >= 0:
        line = number + data.count(b"\n", 0, nul)
        raise UserError(f"{path}:{line}: a NUL byte: the file is damaged, or no text")
    if wrong < len(data):
        line = number + data.count(b"\n", 0, wrong)
        raise UserError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8")
    if "\n" not in text and text.count("\r") > 1:
        raise UserError(f"{path}:{number}: lines end in CR alone: save the file with LF or CRLF line ends")
    return text


def split_lines(number: int, text: str) -> pl.DataFrame:
    """Columns `_line` and `text` of a block; blank lines are left out, and so are the CRs of CRLF."""
    # Not splitlines: titles may hold characters that it takes for line ends (U+0085, U+2028).
    lines = pl.Series("text", [text]).str.split("\n").explode().to_frame().with_row_index(LINE, offset=number)
    return lines.with_columns(pl.col("text").str.strip_suffix("\r")).filter(pl.col("text").str.strip_chars() != "")


def first_lines(path: Path, count: int) -> list[tuple[int, str]]:
    """Number and text of the first lines that are not blank, to recognise the format."""
    for number, text in read_blocks(path, Intake()):
        lines = enumerate(text.split("\n", 20 * count)[: 20 * count], start=number)
        return [(line, content.removesuffix("\r")) for line, content in lines if content.strip()][:count]
    return []
