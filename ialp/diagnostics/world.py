"""`ialp world describe`: is this a world in which methods can be told apart, and do its users answer as real ones?"""

import json
import math
from pathlib import Path
from typing import Any

from ialp.data import RatingLog
from ialp.datamodules import SessionDataModule
from ialp.diagnostics.reliability import Reliability, reliability_of_clicks, reliability_of_ratings
from ialp.diagnostics.world_data import WorldData, finished_policies, policy_label
from ialp.envs import World
from ialp.envs.degeneracy import play_references
from ialp.errors import UserError
from ialp.experiment.building import build, build_missing
from ialp.files import write_atomically
from ialp.nets import RatingNet
from ialp.nets.response import ResponseNet
from ialp.runs.data import RunData
from ialp.runs.open import data_module


def built(arguments: list[str]) -> RunData:
    """The reward run that `ialp fit` with these arguments makes or builds on, built if it is missing.

    Raises:
        UserError: The config cannot be used, or has nothing to do with a reward model.
    """
    from ialp.experiment.config_check import find_class
    from ialp.experiment.planning import plan_fit
    from ialp.phases import RewardModel

    asked = plan_fit(arguments)
    stage = asked.upstream.get("reward_model", asked)
    kind = find_class(stage.config["model"]["class_path"]) if stage.config else RewardModel
    if not issubclass(kind, RewardModel):
        raise UserError(f"{stage.name}: neither a reward model nor built on one; give --config configs/…_reward.yaml")
    build_missing(stage, asked.config["missing"])
    if not stage.finished:
        build(stage)
    return RunData(stage.folder)


def finished(run: str) -> RunData:
    """The reward run in a folder, or that on which the run in the folder was built.

    Raises:
        UserError: There is none.
    """
    if not (Path(run) / "done.json").is_file():
        raise UserError(f"{run}: no finished run (it has no done.json); `ialp runs list` shows what there is")
    found = RunData(Path(run)).world
    if found is None:
        raise UserError(f"{run}: no simulated users there, nor in what it was built on; name a finished reward run")
    return found


def describe(run: RunData, out: str | None = None, data_root: str | None = None, users: int = 500) -> WorldData:
    """Measure the world of a reward run, print it, and write world.png and world.json.

    Args:
        run: A finished reward run.
        out: Folder of the two files.
        data_root: Where the data lies, if not where the run says.
        users: Test users per reference policy; where the test world has fewer, they play several episodes each.

    Raises:
        UserError: The data or the world cannot be used.
    """
    from ialp.diagnostics.world_figure import draw_world
    from ialp.diagnostics.world_tables import print_world

    if users < 1:
        raise UserError(f"--users is {users}: it must be at least 1")
    data = measure(run, data_root, users)
    print_world(data)
    folder = Path(out) if out else run.folder / "describe"
    write_atomically(folder / "world.json", json.dumps(data.numbers(), indent=2) + "\n")
    draw_world(data, folder / "world.png")
    print(f"figures: {folder / 'world.json'}\npicture: {folder / 'world.png'}")
    return data


def measure(run: RunData, data_root: str | None, users: int) -> WorldData:
    """Play the reference policies and hold the response net against what it was not trained on."""
    module = data_module(run, data_root)
    module.setup()
    log = module.log
    world = World.load(run.folder, log.catalogue.fingerprint)
    first_items = log.test.first_items()[:users]
    rounds = math.ceil(users / len(first_items))
    env = world.env(first_items, rounds * len(first_items), evaluation=True)
    played = play_references(env, log, lambda name: print(f"  playing {env.num_users} episodes: {policy_label(name)}"))
    policies = finished_policies(run.folder.absolute().parents[1], run.folder)
    reliability = reliability_of(world.response, module)
    return WorldData(run, world, len(first_items), rounds, played, reliability, policies)


def reliability_of(net: ResponseNet, module: Any) -> Reliability | None:
    """On what the data module holds out; None where that is of no kind known here."""
    if isinstance(module, SessionDataModule):
        return reliability_of_clicks(net, module)
    if isinstance(net, RatingNet) and isinstance(module.log, RatingLog):
        return reliability_of_ratings(net, module.log)
    return None
