"""Six panels in one picture, and the bars in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.report.plots import finish, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by hatch and dash as well, so that a print in grey still reads.
BLUE, ORANGE, RED, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#777777"
SIDES: list[dict[str, Any]] = [{"color": BLUE}, {"color": ORANGE, "hatch": "///", "edgecolor": "white"}]
BOX: dict[str, Any] = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
STYLE: Any = {
    "font.size": 8.5, "axes.titlesize": 10, "axes.titlelocation": "left", "axes.titlepad": 18, "legend.frameon": False,
}  # fmt: skip


@contextmanager
def six_panels(title: str, path: Path, below: str = "") -> Iterator[list[Axes]]:
    """Two rows of three empty panels, written to `path` when they are drawn."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = new_figure(13, 7.6)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[call-arg,union-attr]
        figure.suptitle(title, fontsize=11)
        figure.supxlabel(below, fontsize=9)
        yield list(figure.subplots(2, 3).flat)
        save(figure, path)


def titled(axes: Axes, title: str, x: str = "", y: str = "", grid: str = "y", **more: Any) -> None:
    """Title and labels of a panel; `more` is set as it is."""
    axes.set_title(title)
    finish(axes, x, y, grid, **more)


def bars(axes: Axes, names: Sequence[str], sides: Mapping[str, Sequence[float]], errors: Any = None) -> None:
    """For each of n names a bar per side (label -> n heights), with error bars (label -> (2, n) lengths) if given."""
    for place, (label, heights) in enumerate(sides.items()):
        at = [number + 0.38 * (place - (len(sides) - 1) / 2) for number in range(len(names))]
        error = None if errors is None else errors[label]
        axes.bar(at, heights, 0.36, yerr=error, capsize=3, label=label, **SIDES[place])
    axes.set_xticks(range(len(names)), names)


def errors(values: Sequence[float], bounds: Sequence[Sequence[float]]) -> list[list[float]]:
    """(2, n) lengths of error bars from values to their bounds [low, high]."""
    pairs = list(zip(values, bounds, strict=True))
    return [[max(value - low, 0) for value, (low, _) in pairs], [max(high - value, 0) for value, (_, high) in pairs]]
