"""The simulated users' settings."""

import pytest

from ialp.data import BuiltinLog
from ialp.datamodules import ReplayDataModule
from ialp.errors import UserError


@pytest.mark.parametrize(
    "name", ["users", "test_users", "steps_per_epoch", "updates_per_step", "batch_size", "replay_capacity"]
)
def test_replay_data_refuses_a_setting_below_1(name):
    with pytest.raises(UserError, match=rf"data\.{name} is 0: it must be at least 1"):
        ReplayDataModule(BuiltinLog(), "users", **{name: 0})
