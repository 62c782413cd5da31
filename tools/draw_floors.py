"""Draws the floors of the package: each layer of the contract in pyproject.toml, its packages, and who imports whom.

python -m tools.draw_floors docs/architecture.svg

Boxes are packages with their files and lines; an arrow goes from a package to one that it imports, as wide as there are
imports. Imports from the two lowest floors are left out. Everything is read from pyproject.toml and the code.
"""

import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT, GAP = 1.9, 0.62, 1.25
COLOURS = ("#e8eef7", "#eef5ea", "#fbf3e2", "#f7e9ea")


def layers() -> list[list[str]]:
    """Packages of each floor, the highest first, as the contract has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [floors] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [re.findall(r"\w+", floor) for floor in floors if floor != "__main__"]


def imports() -> Counter[tuple[str, str]]:
    """(importing package, imported package) → number of imports between their modules."""
    graph, found = grimp.build_graph("ialp"), Counter[tuple[str, str]]()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = _package(module), _package(imported)
            if pair[0] != pair[1] and all(pair):
                found[pair] += 1
    return found


def size(package: str) -> tuple[int, int]:
    """Files and lines."""
    place = ROOT / "ialp" / package
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return len(files), sum(len(file.read_text().splitlines()) for file in files)


def draw(path: Path) -> None:
    """Writes the picture."""
    matplotlib.rcParams["svg.hashsalt"] = "floors"  # the same file each time
    floors = layers()
    figure = Figure(figsize=(13, 1.15 * len(floors)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    widest = max(map(len, floors))
    centres: dict[str, tuple[float, float]] = {}
    for number, floor in enumerate(floors):
        y = (len(floors) - number) * GAP
        axes.text(-0.6, y, str(len(floors) - number), ha="center", va="center", color="#777777")
        for place, package in enumerate(floor):
            centres[package] = ((place + 0.5) * (widest * (WIDTH + 0.5)) / len(floor), y)
            _box(axes, package, centres[package], COLOURS[number % len(COLOURS)])
    pairs = {pair: count for pair, count in imports().items() if set(pair) <= centres.keys()}
    for (above, below), count in sorted(pairs.items()):
        if centres[below][1] > 2 * GAP:  # everybody imports from the two lowest floors
            _arrow(axes, centres[above], centres[below], count)
    axes.set_xlim(-1, widest * (WIDTH + 0.5))
    axes.set_ylim(GAP / 2, (len(floors) + 0.5) * GAP)
    figure.savefig(path, metadata={"Date": None})


def _box(axes: Axes, package: str, centre: tuple[float, float], colour: str) -> None:
    x, y = centre
    corner = x - WIDTH / 2, y - HEIGHT / 2
    box = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0.04", facecolor=colour, edgecolor="#555555", zorder=3)
    axes.add_patch(box)
    files, lines = size(package)
    name = f"{package}/" if files > 1 else f"{package}.py"
    axes.text(x, y + 0.1, name, ha="center", va="center", fontsize=11, zorder=4)
    text = f"{files} files, {lines:,} lines" if files > 1 else f"{lines:,} lines"
    axes.text(x, y - 0.17, text, ha="center", va="center", fontsize=7.5, color="#555555", zorder=4)


def _arrow(axes: Axes, above: tuple[float, float], below: tuple[float, float], count: int) -> None:
    start, end = (above[0], above[1] - HEIGHT / 2 - 0.04), (below[0], below[1] + HEIGHT / 2 + 0.06)
    style = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(
        FancyArrowPatch(start, end, color="#4a6fa5", alpha=0.35, linewidth=0.4 + 0.12 * min(count, 20), **style)
    )


def _package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
