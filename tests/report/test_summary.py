"""The final table says what the files say."""

import io
from pathlib import Path

from rich.console import Console

from ialp.report.summary import print_summary
from ialp.runs.data import RunData


def shown(folder: Path) -> list[str]:
    out = io.StringIO()
    print_summary(folder, Console(file=out))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def row(lines: list[str], start: str) -> list[str]:
    """The words of the one line that starts so, its start left out."""
    (line,) = [line for line in lines if line.strip().startswith(start)]
    return line.strip().removeprefix(start).split()


def test_summary_has_policies_at_epochs_0_1_2_and_the_end(run_folder):
    lines = shown(run_folder)
    assert " ".join(row(lines, "policy")) == "e = 0 e = 1 e = 2 end (e = 50)"
    # Return 5.1234 + e/2, length 6 + 0.08 e, a sixth of the return.
    adapted = "5.12 6.00 0.85 5.62 6.08 0.94 6.12 6.16 1.02 30.1 10.0 5.02"
    assert " ".join(row(lines, "A-iALP PolicySet")) == adapted
    assert row(lines, "frozen iALP")[::3] == ["5.12"] * 4
    assert [line.split()[0] for line in lines if "iALP" in line] == ["frozen", "A-iALP"]


def test_summary_has_references_once_each(run_folder):
    lines = shown(run_folder)
    assert row(lines, "random") == ["2.10", "5.25", "0.40"]
    assert row(lines, "most similar") == ["3.44", "5.60", "0.61"]
    assert row(lines, "greedy") == ["84.6", "18.9", "4.48"]
    assert row(lines, "popularity")[0] == "13.4"


def test_summary_has_judgements_seconds_and_paths(run_folder):
    lines = shown(run_folder)
    assert "judgements: 12,345 asked of LocalLM builtin, 678 answered by the cache" in lines
    assert "seconds: lfm_reward 31 + lfm_oracle 61 + lfm_pretrain 95 + lfm_policyset 120 = 307" in lines
    assert lines[-2:] == [f"run: {run_folder}", f"learning curve: {run_folder / 'learning_curve.png'}"]


def test_summary_of_scratch_has_no_frozen_row_and_no_judgements(tmp_path, write_run, write_evaluation):
    folder = write_run(tmp_path / "lfm_scratch_a2c" / "0-eeeeeeee", scheme="Scratch")
    write_evaluation(folder, policies=["adapted"], epochs=50)
    lines = shown(folder)
    assert row(lines, "A2C")[0] == "5.12"
    assert not any(line.strip().startswith("frozen") for line in lines)
    assert not [line for line in lines if line.startswith("judgements")]


def test_summary_notes_epochs_of_another_length(run_folder):
    assert not [line for line in shown(run_folder) if line.startswith("epochs of")]
    evaluation = run_folder / "evaluation.csv"
    short = evaluation.read_text().replace(",50000,", ",26400,")
    evaluation.write_text(short)
    said = "epochs of 528 environment steps each, on average; the paper's e counts 1,000"
    assert said in shown(run_folder)


def test_summary_of_frozen_is_one_row(tmp_path, write_run, write_evaluation):
    folder = write_run(tmp_path / "lfm_frozen" / "0-ffffffff", scheme="Frozen")
    write_evaluation(folder, policies=["frozen"], epochs=0)
    lines = shown(folder)
    assert row(lines, "policy") == ["end", "(e", "=", "0)"]
    assert row(lines, "frozen iALP") == ["5.12", "6.00", "0.85"]


def test_summary_names_a_scheme_of_ones_own_by_its_config(tmp_path, write_run, write_evaluation):
    folder = write_run(tmp_path / "mine" / "0-abababab", scheme="Boltzmann")
    write_evaluation(folder, epochs=3)
    assert row(shown(folder), "mine")[0] == "5.12"


def test_summary_wraps_no_line_without_a_terminal(run_folder):
    table = [line for line in shown(run_folder) if "iALP" in line and not line.startswith(("run", "learning"))]
    assert len(table) == 2


def test_lineage_lists_a_stage_used_twice_once(tmp_path, write_run):
    base = write_run(tmp_path / "reward" / "0-aa")
    left = write_run(tmp_path / "left" / "0-bb", upstream={"reward_model": base})
    top = write_run(tmp_path / "top" / "0-cc", upstream={"pretrained": left, "reward_model": base})
    assert [run.name for run in RunData(top).lineage] == ["reward", "left", "top"]


def test_lineage_finds_runs_that_were_moved(run_folder, tmp_path):
    (tmp_path / "runs").rename(tmp_path / "moved")
    moved = RunData(tmp_path / "moved" / run_folder.parent.name / run_folder.name)
    assert [run.name for run in moved.lineage] == ["lfm_reward", "lfm_oracle", "lfm_pretrain", "lfm_policyset"]
    assert len(moved.references()) == 4
