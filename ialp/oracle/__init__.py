"""The oracle: a language model that judges which item a user would take next."""

from ialp.oracle.backends.base import JudgeBackend, LoRA
from ialp.oracle.backends.endpoint import Limits
from ialp.oracle.backends.local import LocalLM
from ialp.oracle.backends.server import ServerLM
from ialp.oracle.backends.similarity import EmbeddingOracle, LexicalOracle
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
    "ServerLM",
    "load_judge",
]
