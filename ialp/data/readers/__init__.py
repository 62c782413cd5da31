"""Readers of the files that logs come in.

* Cells: how a file is split into them (`lines`, `table`, `text_table`).
* Meaning: what its columns are (`table_log`, `atomic`, `amazon`, `lastfm`, `coat`, `prepared`).
* Shared: `pipeline` makes a log of cells, with `cleaning` of ids and times, and `intake` of bad rows.
"""

from ialp.data.readers.amazon import AmazonLog
from ialp.data.readers.atomic import AtomicLog
from ialp.data.readers.coat import CoatLog
from ialp.data.readers.file_log import Columns, FileLog, RawLog
from ialp.data.readers.intake import Intake
from ialp.data.readers.lastfm import LastfmLog
from ialp.data.readers.prepared import PreparedLog
from ialp.data.readers.table_log import TableLog
from ialp.data.readers.text_table import TextFormat

__all__ = [
    "AmazonLog",
    "AtomicLog",
    "CoatLog",
    "Columns",
    "FileLog",
    "Intake",
    "LastfmLog",
    "PreparedLog",
    "RawLog",
    "TableLog",
    "TextFormat",
]
