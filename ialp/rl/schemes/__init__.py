"""Adaptation schemes of Algorithm 2."""

from ialp.rl.schemes.base import FineTune, Frozen, Scheme, Scratch
from ialp.rl.schemes.gated import GatedPolicySet
from ialp.rl.schemes.llm_online import LLMOnline
from ialp.rl.schemes.policy_set import PolicySet
from ialp.rl.schemes.saved import SavedPolicy, load_policy, save_scheme

__all__ = [
    "FineTune",
    "Frozen",
    "GatedPolicySet",
    "LLMOnline",
    "PolicySet",
    "SavedPolicy",
    "Scheme",
    "Scratch",
    "load_policy",
    "save_scheme",
]
