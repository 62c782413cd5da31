"""The paper's figures: whose curves they show, and that they can be told apart."""

from ialp.report.figures import OTHERS, STYLES, draw_figures, explorations
from tests.helpers.finished_runs import worlds


def test_curves_are_the_training_curves_by_seed(tmp_path, write_online):
    write_online(tmp_path, "scratch", 0, returns=(2, 3, 5))
    write_online(tmp_path, "scratch", 1, returns=(2, 4, 8))
    write_online(tmp_path, "scratch", 2, returns=(2, 9))  # shorter: it would bend the mean where it ends
    (world,) = worlds(tmp_path)
    steps, curves = world.rows[0].curves("return")
    assert steps.tolist() == [1000, 2000] and [each.tolist() for each in curves.values()] == [[3, 5], [4, 8]]
    steps, curves = world.rows[0].curves("return", tested=True)
    assert steps.tolist() == [0, 1000, 2000] and [each.tolist() for each in curves.values()] == [[2, 3, 5], [2, 4, 8]]
    assert [picture.key for picture in draw_figures([world], tmp_path)] == ["figure6_lfm", "figure6b_tested_lfm"]


def test_explorations_cuts_nothing_off_where_panels_share_a_scale(tmp_path, write_online):
    write_online(tmp_path, "scratch", 0, returns=(2, 30, 90))
    write_online(tmp_path, "eps", 0, returns=(2, 3, 5), exploration="ialp.rl.EpsilonGreedy")
    (world,) = worlds(tmp_path)
    assert {axes.get_ylim()[1] > 90 for axes in explorations(world.rows).axes[:2]} == {True}


def test_styles_differ_in_more_than_colour():
    looks = [(str(style["linestyle"]), style["marker"]) for style in [*STYLES.values(), *OTHERS[:4]]]
    assert len(set(looks)) == len(looks)
    assert len({style["color"] for style in STYLES.values()}) == len(STYLES)
