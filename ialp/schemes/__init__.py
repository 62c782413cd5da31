"""Adaptation schemes of Algorithm 2."""

from ialp.schemes.base import Scheme
from ialp.schemes.llm_online import LLMOnline
from ialp.schemes.policy_set import PolicySet
from ialp.schemes.saved import SavedPolicy, load_policy, save_scheme
from ialp.schemes.single import FineTune, Frozen, Scratch

__all__ = [
    "FineTune",
    "Frozen",
    "LLMOnline",
    "PolicySet",
    "SavedPolicy",
    "Scheme",
    "Scratch",
    "load_policy",
    "save_scheme",
]
