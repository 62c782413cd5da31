"""Catalogues and logs of interactions."""

from ialp.data.builtin import BuiltinLog
from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource, PromptWords, Split
from ialp.data.rating_log import RatingLog, Ratings

__all__ = [
    "BuiltinLog",
    "Catalogue",
    "Interactions",
    "Log",
    "LogSource",
    "PromptWords",
    "RatingLog",
    "Ratings",
    "Split",
]
