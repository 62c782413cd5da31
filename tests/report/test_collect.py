"""Every folder is called what it is, and only finished online runs are measured."""

import json
import shutil
import zlib
from pathlib import Path

import pytest
from filelock import FileLock

from ialp.errors import UserError
from ialp.report.collect import collect


@pytest.fixture
def mixed(tmp_path, write_online):
    """One finished run, and one each of what a report must leave out and name."""
    write_online(tmp_path, "lfm_scratch_a2c", 0)
    crashed = write_online(tmp_path, "lfm_scratch_a2c", 1, done=False)
    (crashed / "crash.txt").write_text("RuntimeError: out of\nmemory\n")
    half = write_online(tmp_path, "lfm_scratch_a2c", 2, done=False)
    (half / "config.yaml").write_text((half / "config.yaml").read_text().replace("max_epochs: 2", "max_epochs: 50"))
    foreign = tmp_path / "notes" / "mine"
    foreign.mkdir(parents=True)
    (foreign / "evaluation.csv").write_text(
        "policy,epoch,environment_steps,return,length,average_reward\na,0,0,99,9,9\n"
    )
    return tmp_path


def states(collection):
    return {folder.path.parent.name + "/" + folder.path.name.partition("-")[0]: folder for folder in collection.folders}


def test_crashed_half_finished_and_foreign(mixed):
    collection = collect([mixed])
    found = states(collection)
    assert found["lfm_scratch_a2c/0"].state == "online"
    assert (found["lfm_scratch_a2c/1"].state, found["lfm_scratch_a2c/1"].said) == (
        "crashed",
        "at e = 2 of 2, by RuntimeError: out of memory",
    )
    assert found["lfm_scratch_a2c/2"].state == "half-finished"
    assert "at e = 2 of 50" in found["lfm_scratch_a2c/2"].said
    assert found["notes/mine"].state == "foreign"
    assert [(each.seed, each.run.name) for each in collection.measured] == [(0, "lfm_scratch_a2c")]


def test_the_summary_of_a_grid_is_no_run(tmp_path, write_online):
    write_online(tmp_path, "a", 0)
    (tmp_path / "grids" / "mine" / "logs" / "a").mkdir(parents=True)
    (tmp_path / "grids" / "mine" / "summary.json").write_text("{}")
    assert set(states(collect([tmp_path]))) == {"a/0", "lfm_reward/0"}  # and the world of a/0


def test_the_folder_of_a_grid_stands_for_its_cells(tmp_path, write_online):
    for seed in (0, 9):
        write_online(tmp_path, "a", seed)
    cut = write_online(tmp_path, "b", 0, done=False)
    cells = [tmp_path / "a" / f"0-{zlib.crc32(b'a'):08x}", cut, tmp_path / "b" / "1-not-begun"]
    grid = tmp_path / "grids" / "mine"
    grid.mkdir(parents=True)
    # Named from wherever the grid was run, and one cell had no folder yet.
    listed = [{"folder": str(Path("elsewhere", *cell.parts[-2:]))} for cell in cells] + [{"folder": None}]
    (grid / "summary.json").write_text(json.dumps({"cells": listed}))
    found = states(collect([grid]))
    assert {name: folder.state for name, folder in found.items()} == {"a/0": "online", "b/0": "half-finished"}


def test_a_grid_with_a_broken_summary_is_named(tmp_path):
    (tmp_path / "grids" / "mine").mkdir(parents=True)
    (tmp_path / "grids" / "mine" / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"mine/summary.json: not the summary of a grid"):
        collect([tmp_path / "grids" / "mine"])


def test_a_run_that_a_process_is_making_is_under_way(tmp_path, write_online):
    write_online(tmp_path, "a", 0)
    folder = write_online(tmp_path, "a", 1, done=False)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        assert states(collect([tmp_path]))["a/1"].state == "under way"
    assert states(collect([tmp_path]))["a/1"].state == "half-finished"


def test_damaged_runs(tmp_path, write_online):
    for seed in range(5):
        write_online(tmp_path, "a", seed)
    folders = sorted((tmp_path / "a").iterdir())
    (folders[1] / "done.json").write_text("{")
    (folders[2] / "evaluation.csv").unlink()
    (folders[3] / "evaluation.csv").write_text(
        "policy,epoch,environment_steps,return,length,average_reward\nadapted,0,0,nan,1,1\n"
    )
    done = json.loads((folders[4] / "done.json").read_text())
    (folders[4] / "done.json").write_text(json.dumps(done | {"upstream": {}}))
    collection = collect([tmp_path])
    found = states(collection)
    assert [found[f"a/{seed}"].state for seed in range(5)] == ["online", *["damaged"] * 4]
    assert "done.json" in found["a/1"].said and "evaluation.csv" in found["a/2"].said
    assert "no number" in found["a/3"].said and "world is unknown" in found["a/4"].said
    assert {each.seed for each in collection.measured} == {0}


def test_the_longest_run_of_a_seed_counts_and_the_other_is_superseded(tmp_path, write_online):
    write_online(tmp_path, "short", 0, returns=(2, 3))
    write_online(tmp_path, "long", 0, returns=(2, 3, 9))
    collection = collect([tmp_path])
    assert [each.run.name for each in collection.measured] == ["long"]
    assert states(collection)["short/0"].state == "superseded"


def test_an_earlier_attempt_is_set_aside(tmp_path, write_online):
    folder = write_online(tmp_path, "a", 0)
    shutil.copytree(folder, folder.with_name(folder.name + ".unfinished-1"))
    collection = collect([tmp_path])
    assert [each.state for each in collection.folders if "unfinished" in each.path.name] == ["set aside"]
    assert len(collection.measured) == 1


def test_all_levels_of_folders_find_the_same_runs_once(tmp_path, write_online):
    folder = write_online(tmp_path, "a", 0)
    for places in ([tmp_path], [folder.parent], [folder], [tmp_path, folder]):
        assert [each.run.folder.resolve() for each in collect(places).measured] == [folder.resolve()]


def test_no_folder_and_no_finished_run(tmp_path, write_online):
    with pytest.raises(UserError, match="no such folder"):
        collect([tmp_path / "nothing"])
    write_online(tmp_path, "a", 0, done=False)
    with pytest.raises(UserError, match=r"no finished online run .*half-finished"):
        collect([tmp_path])


def test_the_frozen_policy_of_an_adapted_run_is_one_of_its_own(tmp_path, write_online):
    folder = write_online(tmp_path, "set", 0, scheme="ialp.rl.schemes.PolicySet")
    with (folder / "evaluation.csv").open("a") as file:
        file.write("frozen,0,0,2.5,1,2\n")
    found = {each.method.name: each for each in collect([tmp_path]).measured}
    assert found["frozen iALP"].figures["return"].to_list() == [2.5]
    assert found["frozen iALP"].end == 0 and not len(found["frozen iALP"].training)
    assert found["A-iALP PolicySet"].figures["return"].to_list() == [2.0, 3.0, 4.0]


def test_a_run_by_environment_steps_says_how_far_it_came(tmp_path, write_online):
    write_online(tmp_path, "a", 0)
    write_online(tmp_path, "pg", 0, algorithm="ialp.rl.Reinforce", max_environment_steps=50_000, done=False)
    (half,) = collect([tmp_path]).of_state("half-finished")
    assert half.said.startswith("after 2,000 of 50,000 environment steps;")
