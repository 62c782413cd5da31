"""The picture: which lines it holds, and that labels do not lie upon each other."""

from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from ialp.report.curves import draw
from ialp.report.plots import LABEL_GAP, spread
from ialp.runs.data import RunData


@pytest.fixture
def figure(monkeypatch) -> list[Figure]:
    """The figures that were saved, in order."""
    saved: list[Figure] = []
    save = Figure.savefig

    def spy(self, *args, **kwargs):
        saved.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    return saved


def labels(axes) -> set[str]:
    return set(axes.get_legend_handles_labels()[1])


def test_draw_writes_a_picture_into_the_run(run_folder):
    path = draw(run_folder)
    assert path == run_folder / "learning_curve.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_draw_has_every_curve_and_names_every_reference(run_folder, figure):
    draw(run_folder)
    for axes in figure[0].axes:
        assert labels(axes) == {
            "training, latest 20 episodes", "A-iALP PolicySet", "frozen iALP", "reference policies",
        }  # fmt: skip
        named = {text.get_text().rsplit(" ", 1)[0].split(" ")[0] for text in axes.texts}
        assert named == {"random", "popularity", "most", "greedy"}


def test_draw_has_the_numbers_of_the_file(run_folder, figure):
    draw(run_folder)
    returns = {line.get_label(): line for line in figure[0].axes[0].lines}
    assert list(returns["A-iALP PolicySet"].get_xdata()[:2]) == [0, 1000]
    assert list(returns["A-iALP PolicySet"].get_ydata()[[0, -1]]) == pytest.approx([5.1234, 30.1234])
    assert list(returns["frozen iALP"].get_ydata()[[0, -1]]) == pytest.approx([5.1234, 5.1234])


def test_draw_does_not_flatten_the_curves_for_a_reference_far_above(run_folder, figure):
    draw(run_folder)
    axes = figure[0].axes[0]
    assert axes.get_ylim()[1] < 40  # greedy earns 84.6, the adapted policy 30.1
    assert "greedy 84.6 ↑" in {text.get_text() for text in axes.texts}


def test_draw_keeps_labels_apart(run_folder, figure):
    draw(run_folder)
    for axes in figure[0].axes:
        places = sorted(text.xy[1] for text in axes.texts)
        assert min(b - a for a, b in pairwise(places)) >= 0.999 * LABEL_GAP * axes.get_ylim()[1]


def test_spread_keeps_order_and_gap():
    assert spread([1.0, 5.0], 1.0) == [1.0, 5.0]
    assert spread([4.9, 5.1], 1.0) == pytest.approx([4.5, 5.5])
    assert spread([0.0, 5.0, 5.0, 5.0], 1.0) == pytest.approx([0.0, 4.0, 5.0, 6.0])
    assert spread([], 1.0) == []


@pytest.mark.parametrize("absent", ["evaluation.csv", "metrics.csv", "done.json", "config.yaml"])
def test_draw_leaves_out_the_part_of_a_missing_file(run_folder, absent):
    (run_folder / absent).unlink()
    assert draw(run_folder).is_file()


def test_training_leaves_out_rows_of_other_loggers(run_folder):
    training = RunData(run_folder).training()
    assert len(training) == 100
    assert training["environment_steps"].to_list()[:3] == [0, 500, 1000]
