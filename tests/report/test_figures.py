"""The paper's figures: whose curves they show, and that they can be told apart."""

from ialp.report.figures import OTHERS, STYLES, drawings, picture, styles
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
    assert [drawing.key for drawing in drawings([world])] == ["figure6_lfm", "figure6b_tested_lfm"]


def test_picture_cuts_nothing_off_where_panels_share_a_scale(tmp_path, write_online):
    write_online(tmp_path, "scratch", 0, returns=(2, 30, 90))
    write_online(tmp_path, "eps", 0, returns=(2, 3, 5), exploration="ialp.rl.EpsilonGreedy")
    (world,) = worlds(tmp_path)
    figure = picture(list(drawings([world]))[-1])
    assert {axes.get_ylim()[1] > 90 for axes in figure.axes[:2]} == {True}


def test_styles_differ_in_more_than_colour():
    looks = [(str(style["linestyle"]), style["marker"]) for style in [*STYLES.values(), *OTHERS[:4]]]
    assert len(set(looks)) == len(looks)
    assert len({style["color"] for style in STYLES.values()}) == len(STYLES)


def test_styles_of_another_algorithm_have_the_schemes_colour_and_another_dash(tmp_path, write_online):
    scheme = "ialp.rl.schemes.FineTune"
    write_online(tmp_path, "tune", 0, scheme=scheme)
    write_online(tmp_path, "tune_pg", 0, scheme=scheme, algorithm="ialp.rl.Reinforce")
    write_online(tmp_path, "mine", 0, algorithm="callbacks.mine.PPO")
    (world,) = worlds(tmp_path)
    tune, by_pg, mine = styles(world.rows)
    assert [row.label for row in world.rows][:2] == ["A-iALP FineTune", "A-iALP FineTune, PG"]
    assert by_pg["color"] == tune["color"] != mine["color"]
    assert by_pg["linestyle"] != tune["linestyle"] and by_pg["marker"] != tune["marker"]
