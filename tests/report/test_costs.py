"""Wall time from runs whose figures are known."""

import json

from ialp.report.results import cost_table
from ialp.report.statistics import Estimate
from tests.helpers.finished_runs import rows, worlds


def test_cost_table_has_the_wall_time_of_the_longest_runs(runs):
    assert rows(cost_table(worlds(runs)), "LFM")["A2C"] == ["2", "2,000", "10.00", "–", "–", "–"]


def test_cost_table_has_seconds_of_learning_and_questions_to_a_judge(runs, write_online):
    for seed in (0, 1):
        folder = write_online(runs, "llm", seed, scheme="ialp.rl.schemes.LLMOnline")
        done = json.loads((folder / "done.json").read_text())
        asked = {"asked": 300 + 200 * seed, "cache_hits": 100}
        results = {"seconds_per_step": 0.004 + 0.002 * seed, "judgements": asked}
        (folder / "done.json").write_text(json.dumps(done | {"results": results}))
    table = cost_table(worlds(runs))
    assert rows(table, "LFM")["LLMOnline"][-3:] == ["5.00", "500", "100"]
    (cells,) = [each for each in table.sections["LFM"] if each[0].text == "LLMOnline"]
    assert cells[4].value == Estimate(5.0, 4.0, 6.0, 2)
