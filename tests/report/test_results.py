"""Tables 3 to 5 and their companions from runs whose figures are known."""

import pytest

from ialp.report.inventory import missing_table
from ialp.report.results import comparison_table, paper_figures, paper_table
from ialp.report.statistics import Estimate
from ialp.report.tables import BEST, SECOND
from tests.helpers.finished_runs import SET, marks, rows, worlds


def test_paper_table_is_of_its_moment_with_the_papers_figure_beside_it(runs):
    first, after, end = (paper_table(key, worlds(runs)) for key in ("table3", "table4", "table5"))
    assert rows(first, "LFM")["A2C"] == ["2", "0", "2.50", "1.96", "1.25", "5.15", "2.00", "0.38"]
    assert rows(after, "LFM")["A-iALP PolicySet"] == ["2", "1,000", "6.50", "", "3.25", "", "2.00", ""]
    assert rows(end, "LFM")["A2C"] == ["2", "2,000", "11.00", "28.1", "5.50", "9.29", "2.00", "3.00"]
    assert rows(end, "LFM")["frozen iALP"][:4] == ["2", "0", "5.50", "11.2"]  # nothing trains it: the same at any time
    assert "A-iALP PolicySet" not in rows(first, "LFM")  # on the first day it is the frozen policy


def test_paper_table_has_references_and_does_not_rank_them(runs):
    for key in ("table3", "table4", "table4b", "table5"):
        table = paper_table(key, worlds(runs))
        found = rows(table, "LFM, references")
        assert list(found) == ["random", "popularity", "most similar", "greedy"] and found["greedy"][2] == "84.63"
        assert not any(cell.rank for row in table.sections["LFM, references"] for cell in row)


def test_paper_table_marks_best_and_second(runs):
    table = paper_table("table5", worlds(runs))
    assert marks(table, "LFM", column=3) == {"A2C": SECOND, "frozen iALP": 0, "A-iALP PolicySet": BEST}
    assert set(marks(table, "LFM", column=7).values()) == {BEST}  # R_avg is 2 for all: level


def test_paper_table_keeps_unrounded_figures(runs):
    table = paper_table("table5", worlds(runs))
    (cells,) = [each for each in table.sections["LFM"] if each[0].text == "A-iALP PolicySet"]
    assert cells[3].value == Estimate(20.5, 20.0, 21.0, 2)


def test_paper_table_counts_a_short_run_until_its_end(runs, write_online):
    write_online(runs, "scratch", 2, returns=(4, 5))
    world = worlds(runs)
    assert rows(paper_table("table3", world), "LFM")["A2C"][:3] == ["3", "0", "3.00"]
    assert rows(paper_table("table5", world), "LFM")["A2C"][:3] == ["2", "2,000", "11.00"]


def test_paper_table_compares_epochs_of_whole_episodes_by_environment_steps(runs, write_online):
    pg = {"algorithm": "ialp.rl.Reinforce", "max_environment_steps": 2000}
    for seed in (0, 1):
        # Epochs of 350 and 360 steps: the others' first lies between the second and third, the sixth ends the run.
        write_online(runs, "pg", seed, returns=(1, 2, 3, 4 + seed, 5, 6, 8 + seed), steps=350 + 10 * seed, **pg)
    (world,) = worlds(runs)
    early = rows(paper_table("table4", [world]), "LFM")
    assert early["PG"][:3] == ["2", "1,000", "4.21"]  # the mean of 3 + 300/350 and 3 + 2·280/360
    end = paper_table("table5", [world])
    assert rows(end, "LFM")["PG"][:3] == ["2", "2,130", "8.50"]


def test_paper_table_leaves_out_a_run_that_ended_long_before(runs, write_online):
    pg = {"algorithm": "ialp.rl.Reinforce", "max_environment_steps": 2000}
    write_online(runs, "pg", 0, returns=(1, 2, 3, 4, 5, 6, 8), steps=350, **pg)
    write_online(runs, "pg", 1, returns=(1, 90), steps=350, **pg)
    table = paper_table("table4", worlds(runs))
    assert rows(table, "LFM")["PG"][:3] == ["1", "1,000", "3.86"]
    assert rows(paper_table("table3", worlds(runs)), "LFM")["PG"][0] == "2"


def test_paper_table_has_rows_for_variants_and_methods_of_ones_own(runs, write_online):
    write_online(runs, "scratch", 7, lr=0.003)
    write_online(runs, "other_name", 0, lr=0.01)
    write_online(runs, "greedy", 0, exploration="ialp.rl.Greedy")
    write_online(runs, "mine", 0, scheme="callbacks.mine.Scheme")
    names = set(rows(paper_table("table5", worlds(runs)), "LFM"))
    assert {"A2C", "A2C (lr 0.003)", "A2C (other_name)", "A2C (greedy)", "mine"} <= names


def test_comparison_table_agrees_with_hand_computed_figures(runs):
    table = comparison_table(worlds(runs))
    # At e = 0 the frozen policy has 5, 6 and A2C 2, 3; at the end the set has 20, 21 and A2C 10, 12.
    assert rows(table, "LFM, e = 0")["frozen iALP against A2C"] == ["2", "3.00", "2.20", "1.00"]
    assert rows(table, "LFM, at the end")["A-iALP PolicySet against A2C"] == ["2", "9.50", "1.86", "1.00"]


def test_comparison_table_compares_our_methods_whatever_their_algorithm(runs, write_online):
    for seed in (0, 1):
        write_online(runs, "set_pg", seed, scheme=SET, algorithm="ialp.rl.Reinforce", returns=(5, 6, 30 + seed))
    found = rows(comparison_table(worlds(runs)), "LFM, at the end")
    assert found["A-iALP PolicySet, PG against A2C"] == ["2", "19.50", "2.77", "1.00"]
    assert ("A-iALP PolicySet against A-iALP PolicySet, PG" in found) != (
        "A-iALP PolicySet, PG against A-iALP PolicySet" in found
    )
    assert not [name for name in rows(comparison_table(worlds(runs)), "LFM, e = 0") if "PolicySet" in name]


def test_paper_table_is_unchanged_by_shorter_trials_beside_the_methods(runs, write_online):
    before = {name: cells[2] for name, cells in rows(paper_table("table5", worlds(runs)), "LFM").items()}
    for number in range(4):  # more of them than there are methods, each with one seed and another length
        write_online(runs, f"trial{number}", 9, scheme=SET, returns=(5, 99), steps=700, lr=0.1 + number)
    found = rows(paper_table("table5", worlds(runs)), "LFM")
    assert {name: cells[2] for name, cells in found.items() if "trial" not in name} == before
    assert not [name for name in rows(comparison_table(worlds(runs)), "LFM, at the end") if "trial" in name]


def test_paper_table_keeps_the_method_where_whole_episodes_are_a_little_longer(runs, write_online):
    episodes = {"data": "ialp.datamodules.OnPolicyDataModule", "returns": (5, 6, 30), "steps": 1010}
    for seed in (0, 1):
        write_online(runs, "set_episodes", seed, scheme=SET, **episodes)
    table = rows(paper_table("table5", worlds(runs)), "LFM")
    assert table["A-iALP PolicySet"][2] == "20.50"
    assert table["A-iALP PolicySet (set_episodes)"][2] == "30.00"


def test_missing_table_counts_the_seeds_that_are_there(runs):
    table = missing_table(worlds(runs))
    assert table.columns == ["method", "LFM", "Industry", "Coat"]
    found = rows(table, "")
    assert found["A2C"] == ["2", "0", "0"] and found["LLMOnline"] == ["0", "0", "–"]  # the paper has it on two


def test_worlds_of_are_told_by_their_reward_run_and_come_in_the_papers_order(tmp_path, write_online):
    for world in ("mine", "coat", "industry", "lfm"):
        write_online(tmp_path, "scratch", ["mine", "coat", "industry", "lfm"].index(world), world=world)
    assert [world.label for world in worlds(tmp_path)] == ["LFM", "Industry", "Coat", "mine"]
    assert all(len(world.rows) == 1 and len(world.rows[0].runs) == 1 for world in worlds(tmp_path))


def test_paper_figures_are_consistent():
    """R = Len × R_avg, within what its rounding makes of it: a wrong digit would show."""
    printed = paper_figures()
    for moment in ("0", "1", "end"):
        for methods in printed[moment].values():
            for reward, length, average in methods.values():
                assert reward == pytest.approx(length * average, rel=0.07)
