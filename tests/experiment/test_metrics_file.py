from pathlib import Path

from ialp.experiment.metrics_file import MetricsFile


def log(logger: MetricsFile, step: int, **figures: float) -> None:
    logger.log_metrics(figures, step)
    logger.save()


def test_metrics_file_resumed_is_that_of_an_unbroken_run(tmp_path: Path) -> None:
    whole = MetricsFile(tmp_path / "whole")
    for step in range(4):
        log(whole, step, loss=step / 3, **({"late": 1.0} if step == 3 else {}))
    cut = MetricsFile(tmp_path / "cut")
    for step in range(4):
        log(cut, step, loss=step / 3 if step < 2 else 99.0, **({"other": 1.0} if step > 1 else {}))
    resumed = MetricsFile(tmp_path / "cut")
    assert len(resumed.rows) == 4
    resumed.rewind(2)
    for step in range(2, 4):
        log(resumed, step, loss=step / 3, **({"late": 1.0} if step == 3 else {}))
    assert (tmp_path / "cut/metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()


def test_metrics_file_forgets_a_line_that_a_kill_has_cut(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path)
    log(logger, 0, loss=0.5)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("0.2")
    again = MetricsFile(tmp_path)
    again.rewind(1)
    assert (tmp_path / "metrics.csv").read_text().split() == ["loss,step", "0.5,0"]


def test_metrics_file_keeps_its_rows_with_a_new_column(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path)
    log(logger, 0, b=1.0)
    log(logger, 1, a=2.0)
    assert (tmp_path / "metrics.csv").read_text().split() == ["a,b,step", ",1.0,0", "2.0,,1"]
