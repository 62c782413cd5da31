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
    """One finished run, a crashed one and a half-finished one."""
    write_online(tmp_path, "lfm_scratch_a2c", 0)
    crashed = write_online(tmp_path, "lfm_scratch_a2c", 1, done=False)
    (crashed / "crash.txt").write_text("RuntimeError: out of\nmemory\n")
    write_online(tmp_path, "lfm_scratch_a2c", 2, done=False)
    return tmp_path


def left_out(collection):
    """Config and seed -> reason."""
    return {
        f"{folder.parent.name}/{folder.name.partition('-')[0]}": reason
        for folder, reason in collection.left_out.items()
    }


def shown(collection):
    return {f"{each.run.name}/{each.seed}" for each in collection.measured}


def test_collect_says_why_a_folder_is_left_out(mixed):
    collection = collect([mixed])
    found = left_out(collection)
    crash = "crashed: after 2,000 environment steps, by RuntimeError: out of memory"
    assert found.keys() == {"lfm_scratch_a2c/1", "lfm_scratch_a2c/2"} and found["lfm_scratch_a2c/1"] == crash
    assert found["lfm_scratch_a2c/2"].startswith("half-finished: after 2,000 environment steps; no done.json")
    assert shown(collection) == {"lfm_scratch_a2c/0"}


def test_collect_takes_the_summary_of_a_grid_for_no_run(tmp_path, write_online):
    write_online(tmp_path, "a", 0)
    (tmp_path / "grids" / "mine" / "logs" / "a").mkdir(parents=True)
    (tmp_path / "grids" / "mine" / "summary.json").write_text("{}")
    (tmp_path / "grids" / "mine" / "logs" / "config.yaml").write_text("{}")
    assert shown(collect([tmp_path])) == {"a/0"} and not left_out(collect([tmp_path]))


def test_collect_takes_the_folder_of_a_grid_for_its_cells(tmp_path, write_online):
    for seed in (0, 9):
        write_online(tmp_path, "a", seed)
    cut = write_online(tmp_path, "b", 0, done=False)
    cells = [tmp_path / "a" / f"0-{zlib.crc32(b'a'):08x}", cut, tmp_path / "b" / "1-not-begun"]
    grid = tmp_path / "grids" / "mine"
    grid.mkdir(parents=True)
    # Named from wherever the grid was run, and one cell had no folder yet.
    listed = [{"folder": str(Path("elsewhere", *cell.parts[-2:]))} for cell in cells] + [{"folder": None}]
    (grid / "summary.json").write_text(json.dumps({"cells": listed}))
    assert shown(collect([grid])) == {"a/0"} and left_out(collect([grid])).keys() == {"b/0"}


def test_collect_names_a_grid_with_a_broken_summary(tmp_path):
    (tmp_path / "grids" / "mine").mkdir(parents=True)
    (tmp_path / "grids" / "mine" / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"mine/summary.json: not the summary of a grid"):
        collect([tmp_path / "grids" / "mine"])


def test_collect_knows_a_run_that_a_process_is_making(tmp_path, write_online):
    write_online(tmp_path, "a", 0)
    folder = write_online(tmp_path, "a", 1, done=False)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        assert left_out(collect([tmp_path]))["a/1"].startswith("under way: after 2,000")
    assert left_out(collect([tmp_path]))["a/1"].startswith("half-finished")


def test_collect_names_what_is_damaged(tmp_path, write_online):
    for seed in range(4):
        write_online(tmp_path, "a", seed)
    places = sorted((tmp_path / "a").iterdir())
    (places[1] / "done.json").write_text("{")
    (places[2] / "evaluation.csv").unlink()
    done = json.loads((places[3] / "done.json").read_text())
    (places[3] / "done.json").write_text(json.dumps(done | {"upstream": {}}))
    collection = collect([tmp_path])
    found = left_out(collection)
    for seed, word in ((1, "done.json"), (2, "evaluation.csv"), (3, "names no reward_model")):
        assert found[f"a/{seed}"].startswith("damaged: ") and word in found[f"a/{seed}"]
    assert {each.seed for each in collection.measured} == {0}


def test_collect_takes_the_longest_run_of_a_seed(tmp_path, write_online):
    write_online(tmp_path, "short", 0, returns=(2, 3))
    write_online(tmp_path, "long", 0, returns=(2, 3, 9))
    collection = collect([tmp_path])
    assert [each.run.name for each in collection.measured] == ["long"]
    assert left_out(collection)["short/0"].startswith("superseded")


def test_collect_passes_over_an_earlier_attempt(tmp_path, write_online):
    folder = write_online(tmp_path, "a", 0)
    shutil.copytree(folder, folder.with_name(folder.name + ".unfinished-1"))
    assert len(collect([tmp_path]).measured) == 1
    assert not left_out(collect([tmp_path]))


def test_collect_finds_the_same_runs_from_any_level_once(tmp_path, write_online):
    folder = write_online(tmp_path, "a", 0)
    for places in ([tmp_path], [folder.parent], [folder], [tmp_path, folder]):
        assert [each.run.folder.resolve() for each in collect(places).measured] == [folder.resolve()]


def test_collect_refuses_no_folder_and_no_finished_run(tmp_path, write_online):
    with pytest.raises(UserError, match="no such folder"):
        collect([tmp_path / "nothing"])
    write_online(tmp_path, "a", 0, done=False)
    with pytest.raises(UserError, match=r"no finished online run .*half-finished"):
        collect([tmp_path])


def test_collect_takes_the_frozen_policy_of_an_adapted_run_for_one_of_its_own(tmp_path, write_online):
    folder = write_online(tmp_path, "set", 0, scheme="ialp.rl.schemes.PolicySet")
    with (folder / "evaluation.csv").open("a") as file:
        file.write("frozen,0,0,2.5,1,2\n")
    found = {each.method.name: each for each in collect([tmp_path]).measured}
    assert found["frozen iALP"].figures["return"].to_list() == [2.5]
    assert found["frozen iALP"].end == 0 and not len(found["frozen iALP"].training)
    assert found["A-iALP PolicySet"].figures["return"].to_list() == [2.0, 3.0, 4.0]
