"""Files of text in blocks of whole lines, plain or gzip, with the numbers of the lines."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ialp.data.readers.intake import LINE, Intake
from ialp.errors import UserError

BLOCK = 2**24  # bytes: memory follows the block, not the file


def read_blocks(path: Path, intake: Intake) -> Iterator[tuple[int, str]]:
    """Blocks of whole lines, each with the number of its first line; line ends are as in the file.

    A byte order mark is left out. Files that begin like gzip are unpacked, whatever their name.

    Raises:
        UserError: The file cannot be opened, is empty, not UTF-8, or a gzip file that is damaged or ends early.
    """
    with intake.open(path) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        number = 1
        try:
            while block := file.read(BLOCK) + file.readline():
                yield number, block.decode("utf-8-sig" if number == 1 else "utf-8")
                number += block.count(b"\n")
        except UnicodeDecodeError as error:
            line = number + error.object.count(b"\n", 0, error.start)
            raise UserError(f"{path}:{line}: not UTF-8 text: unpack it, or save it as UTF-8") from None
        except (EOFError, zlib.error, gzip.BadGzipFile):
            message = "the gzip file is damaged or cut short, in this line or a later one: download it again"
            raise UserError(f"{path}:{number}: {message}") from None


def split_lines(number: int, text: str) -> pl.DataFrame:
    """Columns `_line` and `text` of a block; blank lines are left out, and so are the CRs of CRLF."""
    # Not splitlines: titles may hold characters that it takes for line ends (U+0085, U+2028).
    lines = pl.Series("text", [text]).str.split("\n").explode().to_frame().with_row_index(LINE, offset=number)
    return lines.with_columns(pl.col("text").str.strip_suffix("\r")).filter(pl.col("text").str.strip_chars() != "")


def first_lines(path: Path, count: int) -> list[tuple[int, str]]:
    """Number and text of the first lines that are not blank, to recognise the format."""
    for number, text in read_blocks(path, Intake()):
        return split_lines(number, text[: 2**20]).head(count).rows()
    return []
