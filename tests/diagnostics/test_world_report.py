"""The tables and the picture of a world."""

from io import StringIO
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from rich.console import Console

from ialp.diagnostics.reliability import Reliability
from ialp.diagnostics.world import WorldData
from ialp.diagnostics.world_view import SHOWN, draw_world, print_world
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
    """Two bins, of which nothing fell into the second."""
    nan = float("nan")
    reliability = Reliability(
        "3 true next items, and 2 negatives for each",
        torch.tensor([0.0, 0.5, 1.0]),
        {"true next items": torch.tensor([3, 0]), "negatives": torch.tensor([6, 0])},
        torch.tensor([0.25, nan]),
        torch.tensor([0.5, nan]),
        torch.tensor([0.1, nan]),
        0.25,
    )
    references = {
        "random": played(2.0, [5, 5, 6, 4], [0.1, 0.2, 0.3, 0.4]),
        "popularity": played(9.5, [7, 7, 7, 7], [0.4] * 4),
        "text_similarity": played(4.0, [5, 6, 7, 8], [0.3] * 4),
        "greedy": played(20.0, [20, 20, 20, 20], [0.9, 0.8, 0.9, 0.8]),
    }
    world = World(SequentialResponse(40, dim=8), [PatienceExit()])
    return WorldData(RunData(run_folder), world, 4, 1, references, reliability)


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
    assert "expected calibration error: 0.2500, before the intercept, on 3 true next items" in said
    assert "warning: popularity alone gets 48% of greedy's return, more than 45%" in said


def test_print_world_shows_the_best_policies_only(data):
    for number in range(SHOWN + 3):
        data.policies[f"policy/{number:02}"] = {"return": 5.0, "length": 5.0, "average_reward": 1.0}
    said = printed(data)
    assert "policy/09" in said and "policy/10" not in said and "and 3 more, in world.json" in said


def test_numbers_are_json(data):
    numbers = data.numbers()
    assert numbers["reliability"]["predicted"] == [0.25, None]
    assert numbers["references"]["random"]["episodes_of_length"] == [0, 0, 0, 0, 1, 2, 1]
    assert numbers["references"]["greedy"]["answers"]["quantiles"]["0.5"] == pytest.approx(0.85)
    shares = numbers["references"]["random"]["answer_histogram"]["shares"]
    assert len(shares) == 20 and sum(shares) == pytest.approx(1.0)


def test_draw_world_has_the_figures(data, tmp_path, monkeypatch):
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *rest, **more: (saved.append(self), save(self, *rest, **more)))
    path = draw_world(data, tmp_path / "new" / "world.png")
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    references, lengths, causes, _, _, counts = saved[0].axes
    assert [bar.get_width() for bar in references.patches] == [2.0, 9.5, 4.0, 20.0]
    stayed = {line.get_label(): list(line.get_ydata()) for line in lengths.lines}
    assert stayed["random"][:8] == [1.0, 1.0, 1.0, 1.0, 0.75, 0.25, 0.0, 0.0]
    assert [bar.get_width() for bar in causes.patches] == [0.75] * 4 + [0.25] * 4
    assert [bar.get_height() for bar in counts.patches] == [3, 0, 6, 0]
    assert "2 negatives for each" in saved[0].get_supxlabel() and "Warning: popularity" in saved[0].get_suptitle()


def test_world_without_reliability_says_so(data, tmp_path):
    data.reliability = None
    assert "no reliability" in printed(data)
    assert draw_world(data, tmp_path / "world.png").is_file()
