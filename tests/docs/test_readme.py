"""The README's Python example, run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_readme_python_example_runs_and_is_short(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    small = code.replace("BuiltinLog()", "BuiltinLog(num_tracks=60, num_sessions=80)")
    small = small.replace("max_epochs=2", "max_epochs=1, limit_train_batches=2")
    subprocess.run([sys.executable, "-c", small], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "adapted" / "evaluation.csv").is_file() and (tmp_path / "adapted" / "done.json").is_file()
