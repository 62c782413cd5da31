"""The phases, each a LightningModule that `ialp fit` runs."""

from ialp.phases.evaluation import Evaluation
from ialp.phases.online_adapt import OnlineAdapt
from ialp.phases.online_episodes import OnlineEpisodes
from ialp.phases.oracle_tuning import OracleTuning
from ialp.phases.prefetch import PrefetchPretrain
from ialp.phases.pretrain import IALPPretrain
from ialp.phases.reward_model import RewardModel

__all__ = [
    "Evaluation",
    "IALPPretrain",
    "OnlineAdapt",
    "OnlineEpisodes",
    "OracleTuning",
    "PrefetchPretrain",
    "RewardModel",
]
