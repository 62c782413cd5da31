"""Regret and wall time from runs whose figures are known."""

import json

from ialp.report.results import cost_table, regret_table
from ialp.report.statistics import Estimate
from ialp.report.tables import BEST, SECOND
from tests.helpers.finished_runs import SET, marks, rows, worlds


def test_regret_table_agrees_with_hand_computed_figures(tmp_path, write_online):
    flat, line = [2.0, *[5.0] * 20], [0.0, *[min(i, 10) for i in range(1, 21)]]
    write_online(tmp_path, "scratch", 0, returns=flat)
    write_online(tmp_path, "set", 0, scheme=SET, returns=line)
    table = regret_table(worlds(tmp_path))
    learning = "LFM, users in training"
    assert table.sections[0].heading == f"{learning}: below 10.00, the final level of A-iALP PolicySet"
    # A2C is at 5 throughout: 5 below. The set is at 1 for the first 1,000 steps, then rises to 10 at 10,000:
    # 9 over the first tenth, a mean of 4.5 over the other nine.
    assert rows(table, learning) == {
        "A2C": ["1", "5.00", "1.00", "5.00"],
        "A-iALP PolicySet": ["1", "4.95", "0.99", "10.00"],
    }
    assert marks(table, table.sections[0].heading, 2) == {"A2C": SECOND, "A-iALP PolicySet": BEST}
    # The test users see A2C rise from 2 to 5 within the first step, and the set from 0 to 10.
    assert rows(table, "LFM, test users") == {
        "A2C": ["1", "5.15", "1.00", "5.00"],
        "A-iALP PolicySet": ["1", "5.00", "0.97", "10.00"],
    }


def test_regret_table_leaves_out_a_method_that_ends_before_the_horizon(tmp_path, write_online):
    write_online(tmp_path, "scratch", 0, returns=[2.0] * 21)
    write_online(tmp_path, "set", 0, scheme=SET, returns=[2.0] * 5)
    assert list(rows(regret_table(worlds(tmp_path)), "LFM, users in training")) == ["A2C"]


def test_cost_table_has_the_wall_time_of_the_longest_runs(runs):
    assert rows(cost_table(worlds(runs)), "LFM")["A2C"] == ["2", "2,000", "10.00", "5.00", "–", "–", "–"]


def test_cost_table_has_seconds_of_learning_and_questions_to_a_judge(runs, write_online):
    for seed in (0, 1):
        folder = write_online(runs, "llm", seed, scheme="ialp.rl.schemes.LLMOnline")
        done = json.loads((folder / "done.json").read_text())
        asked = {"asked": 300 + 200 * seed, "cache_hits": 100}
        results = {"seconds_per_step": 0.004 + 0.002 * seed, "judgements": asked}
        (folder / "done.json").write_text(json.dumps(done | {"results": results}))
    table = cost_table(worlds(runs))
    assert rows(table, "LFM")["LLMOnline"][-3:] == ["5.00", "500", "100"]
    (cells,) = [each for each in table.sections[0].rows if each[0].text == "LLMOnline"]
    assert cells[5].value == Estimate(5.0, 4.0, 6.0, 2)
