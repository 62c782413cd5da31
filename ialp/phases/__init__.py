"""The phases, each a LightningModule that `ialp fit` runs."""

from ialp.phases.online_adapt import OnlineAdapt
from ialp.phases.oracle_tuning import OracleTuning
from ialp.phases.pretrain import IALPPretrain
from ialp.phases.reward_model import RewardModel

__all__ = ["IALPPretrain", "OnlineAdapt", "OracleTuning", "RewardModel"]
