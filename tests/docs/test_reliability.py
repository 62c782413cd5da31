"""The table of faults in docs/reliability.md names tests that exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| `(.+\.py)::(\w+)` \|$", re.MULTILINE)


def test_every_fault_has_its_test() -> None:
    rows = ROW.findall((REPOSITORY / "docs" / "reliability.md").read_text())
    assert [int(number) for number, *_ in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 40
    for _, _, _, file, name in rows:
        assert f"def {name}(" in (REPOSITORY / "tests" / file).read_text(), f"{file}::{name}"
    assert len({tuple(row[3:]) for row in rows}) == len(rows)
