"""The oracle: a language model that judges which item a user would take next."""

from ialp.oracle.backends import (
    EmbeddingOracle,
    JudgeBackend,
    LexicalOracle,
    Limits,
    LocalLM,
    LoRA,
    RequestOptions,
    ServerLM,
)
from ialp.oracle.cache import JudgementCache
from ialp.oracle.config import OracleConfig, load_judge
from ialp.oracle.oracle import BudgetExceeded, Judging, Oracle
from ialp.oracle.prompt import PromptTemplate
from ialp.oracle.questions import Questions

__all__ = [
    "BudgetExceeded",
    "EmbeddingOracle",
    "JudgeBackend",
    "JudgementCache",
    "Judging",
    "LexicalOracle",
    "Limits",
    "LoRA",
    "LocalLM",
    "Oracle",
    "OracleConfig",
    "PromptTemplate",
    "Questions",
    "RequestOptions",
    "ServerLM",
    "load_judge",
]
