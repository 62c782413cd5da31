"""What feeds each phase: LightningDataModules."""

from ialp.datamodules.episodes import OnPolicyDataModule
from ialp.datamodules.loader import ResumableLoader
from ialp.datamodules.oracle import OracleDataModule
from ialp.datamodules.prompts import PromptDataModule
from ialp.datamodules.ratings import RatingsDataModule
from ialp.datamodules.sessions import SessionDataModule
from ialp.datamodules.users import ReplayDataModule

__all__ = [
    "OnPolicyDataModule",
    "OracleDataModule",
    "PromptDataModule",
    "RatingsDataModule",
    "ReplayDataModule",
    "ResumableLoader",
    "SessionDataModule",
]
