"""Adaptation schemes of Algorithm 2."""

from ialp.rl.schemes.base import Scheme
from ialp.rl.schemes.llm_online import LLMOnline
from ialp.rl.schemes.policy_set import PolicySet
from ialp.rl.schemes.saved import SavedPolicy, load_policy, save_scheme
from ialp.rl.schemes.single import FineTune, Frozen, Scratch

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
