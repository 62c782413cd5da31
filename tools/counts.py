"""Counts what docs/architecture.md reports: lines, the longest file and function, and constructors' arguments.

python -m tools.counts [CHECKOUT]
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(root: Path, pattern: str) -> int:
    """Lines of the files that git tracks under a pattern."""
    listed = subprocess.run(["git", "ls-files", pattern], cwd=root, capture_output=True, text=True, check=True).stdout
    return sum(len((root / name).read_text().splitlines()) for name in listed.split())


def functions(root: Path) -> Iterator[tuple[int, str]]:
    """(lines, name) of each function of the package."""
    for path in (root / "ialp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield node.end_lineno - node.lineno + 1, f"{path.relative_to(root)}:{node.name}"  # type: ignore[operator]


def constructors(root: Path) -> Iterator[tuple[int, str]]:
    """(arguments, name) of each public class's constructor."""
    for path in (root / "ialp").rglob("*.py"):
        for kind in ast.walk(ast.parse(path.read_text())):
            if isinstance(kind, ast.ClassDef) and not kind.name.startswith("_"):
                for node in kind.body:
                    if isinstance(node, Function) and node.name == "__init__":
                        yield len(node.args.args) + len(node.args.kwonlyargs) - 1, kind.name


def main(root: Path) -> None:
    """Print the counts of a checkout."""
    for pattern in ("ialp/*.py", "tests/*.py", "configs/*.yaml"):
        print(f"{pattern}: {lines_of(root, pattern):,} lines")
    files = [
        (len(path.read_text().splitlines()), str(path.relative_to(root))) for path in (root / "ialp").rglob("*.py")
    ]
    print("longest file:", *max(files))
    print("longest function:", *max(functions(root)))
    found = sorted(constructors(root), reverse=True)
    print("constructors of more than 10 arguments:", sum(count > 10 for count, _ in found), "most:", *found[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
