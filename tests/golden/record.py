"""Records the golden values anew: `python -m tests.golden.record [NAME ...]`, all runs unless some are named.

Only for a change that is meant to change numbers. One run is made after another, in one process.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.golden.bench import VALUES, Bench, probe, recorded, values
from tests.golden.runs import RUNS


def record(names: list[str]) -> None:
    """Writes values.json with new values of the named runs."""
    if unknown := set(names) - set(RUNS):
        raise SystemExit(f"no golden run: {', '.join(sorted(unknown))}")
    here = probe()
    kept = recorded() if names and VALUES.is_file() else {"probe": here, "runs": {}}
    if kept["probe"] != here:
        raise SystemExit("this machine computes otherwise than the one of values.json: record all runs, not some")
    found = {name: value for name, value in kept["runs"].items() if name in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in names or RUNS:
            start = time.perf_counter()
            found[name] = values(bench.run(name))
            print(f"recorded {name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    VALUES.write_text(dumped({"probe": here, "runs": found}))


def dumped(content: dict) -> str:
    """JSON with sorted keys, one row of a file or one other value of a run per line."""
    lines = [f'{{"probe": {json.dumps(content["probe"])}, "runs": {{']
    runs = sorted(content["runs"].items())
    for name, parts in runs:
        lines.append(f"{json.dumps(name)}: {{")
        shown = [f"{json.dumps(key)}: {_lines(part)}" for key, part in sorted(parts.items())]
        lines.append(",\n".join(shown))
        lines.append("}" if name == runs[-1][0] else "},")
    return "\n".join([*lines, "}}", ""])


def _lines(part: object) -> str:
    if not isinstance(part, list) or not part:
        return json.dumps(part, sort_keys=True)
    return "[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in part) + "\n]"


if __name__ == "__main__":
    record(sys.argv[1:])
