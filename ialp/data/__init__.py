"""Catalogues, logs and what feeds the phases.

The DataModules are loaded when they are first named: they reach into the other rooms (worlds, oracle), which in turn
need the catalogue from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ialp.data.amazon import AmazonLog
from ialp.data.atomic import AtomicLog
from ialp.data.builtin_log import BuiltinLog
from ialp.data.catalogue import Catalogue
from ialp.data.coat import CoatLog
from ialp.data.file_log import FileLog, RawLog
from ialp.data.intake import Intake
from ialp.data.interactions import Interactions
from ialp.data.lastfm import LastfmLog
from ialp.data.log_source import Log, LogSource
from ialp.data.prepared import PreparedLog
from ialp.data.rating_log import RatingLog, Ratings
from ialp.data.table_log import TableLog

if TYPE_CHECKING:
    from ialp.data.env import EnvDataModule
    from ialp.data.episodes import EpisodeDataModule
    from ialp.data.log import LogDataModule
    from ialp.data.oracle import OracleDataModule
    from ialp.data.prompts import PromptDataModule
    from ialp.data.ratings import RatingsDataModule

DATA_MODULES = {
    "EnvDataModule": "ialp.data.env",
    "EpisodeDataModule": "ialp.data.episodes",
    "LogDataModule": "ialp.data.log",
    "OracleDataModule": "ialp.data.oracle",
    "PromptDataModule": "ialp.data.prompts",
    "RatingsDataModule": "ialp.data.ratings",
}

__all__ = [
    "AmazonLog",
    "AtomicLog",
    "BuiltinLog",
    "Catalogue",
    "CoatLog",
    "EnvDataModule",
    "EpisodeDataModule",
    "FileLog",
    "Intake",
    "Interactions",
    "LastfmLog",
    "Log",
    "LogDataModule",
    "LogSource",
    "OracleDataModule",
    "PreparedLog",
    "PromptDataModule",
    "RatingLog",
    "Ratings",
    "RatingsDataModule",
    "RawLog",
    "TableLog",
]


def __getattr__(name: str) -> Any:
    if name not in DATA_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(DATA_MODULES[name]), name)
