"""The tables of a world."""

import json
from io import StringIO

import pytest
import torch
from rich.console import Console

from ialp.diagnostics.world import WorldData
from ialp.diagnostics.world_view import SHOWN, print_world
from ialp.envs import PatienceExit, World
from ialp.envs.degeneracy import Played
from ialp.nets.response import SequentialResponse
from ialp.runs.data import RunData


def played(returned: float, lengths: list[int], answers: list[float]) -> Played:
    length = sum(lengths) / len(lengths)
    figures = {"return": returned, "length": length, "average_reward": returned / length}
    return Played(figures, torch.tensor(answers), torch.tensor(lengths), {"patience": 0.75, "horizon": 0.25})


@pytest.fixture
def data(run_folder) -> WorldData:
    references = {
        "random": played(2.0, [5, 5, 6, 4], [0.1, 0.2, 0.3, 0.4]),
        "popularity": played(9.5, [7, 7, 7, 7], [0.4] * 4),
        "text_similarity": played(4.0, [5, 6, 7, 8], [0.3] * 4),
        "greedy": played(20.0, [20, 20, 20, 20], [0.9, 0.8, 0.9, 0.8]),
    }
    world = World(SequentialResponse(40, dim=8), [PatienceExit()])
    return WorldData(RunData(run_folder), world, 4, 1, references, 0.25, {})


def printed(data: WorldData) -> str:
    console = Console(width=120, record=True, file=StringIO())
    print_world(data, console)
    return console.export_text()


def test_print_world_has_the_figures(data):
    said = " ".join(printed(data).split())
    assert "PatienceExit (start 10, leave_below 1, scale 2, lowest 0.1, highest 2); at most 20 steps" in said
    assert "popularity 9.50 7.00 1.36 48%" in said
    assert "random 4 5 5 5 6 75.0% 25.0%" in said
    assert "random 0.250 0.115 0.175 0.250 0.325 0.385" in said
    assert "expected calibration error: 0.2500, on true next items and negatives" in said
    assert "warning: popularity alone gets 48% of greedy's return, more than 45%" in said


def test_print_world_shows_the_best_policies_only(data):
    for number in range(SHOWN + 3):
        data.policies[f"policy/{number:02}"] = {"return": 5.0, "length": 5.0, "average_reward": 1.0}
    said = printed(data)
    assert "policy/09" in said and "policy/10" not in said and "and 3 more, in world.json" in said


def test_numbers_are_json(data):
    numbers = data.numbers()
    assert json.loads(json.dumps(numbers))["calibration_error"] == 0.25
    assert numbers["references"]["random"]["episodes_of_length"] == [0, 0, 0, 0, 1, 2, 1]
    assert numbers["references"]["greedy"]["answers"]["quantiles"]["0.5"] == pytest.approx(0.85)


def test_world_without_held_out_data_has_no_calibration_error(data):
    data.calibration_error = None
    assert "calibration error" not in printed(data)
