"""Judges, and what they have in common."""

from ialp.oracle.backends.base import JudgeBackend, LoRA
from ialp.oracle.backends.embedding import EmbeddingOracle
from ialp.oracle.backends.lexical import LexicalOracle
from ialp.oracle.backends.local import LocalLM
from ialp.oracle.backends.server import ServerLM

__all__ = ["EmbeddingOracle", "JudgeBackend", "LexicalOracle", "LoRA", "LocalLM", "ServerLM"]
