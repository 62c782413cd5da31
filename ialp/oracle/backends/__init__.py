"""Judges, and what they have in common."""

from ialp.oracle.backends.base import JudgeBackend, LoRA
from ialp.oracle.backends.local import LocalLM
from ialp.oracle.backends.server import Limits, RequestOptions, ServerLM
from ialp.oracle.backends.similarity import EmbeddingOracle, LexicalOracle

__all__ = [
    "EmbeddingOracle",
    "JudgeBackend",
    "LexicalOracle",
    "Limits",
    "LoRA",
    "LocalLM",
    "RequestOptions",
    "ServerLM",
]
