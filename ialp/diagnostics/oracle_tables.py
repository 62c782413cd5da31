"""A judge in tables: picks beside chance and the floor, None, labels, order, cost."""

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ialp.report.summary import PLAIN_WIDTH

COLUMNS = {
    "picked": "true item picked",
    "picked_calibrated": "None by threshold",
    "ranked_first": "ranked first",
    "picked_popular": "picked, popular others",
    "none_precision": "None: precision",
    "none_recall": "None: recall",
    "calibration_error": "calibration error",
    "order_sensitivity": "answers that turn with the order",
}
SIDES = {"judge": "judge", "floor": "word overlap"}


def print_oracle(numbers: dict[str, Any], console: Console | None = None) -> None:
    """Print what `OracleReport.numbers` holds."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    asked = f"{numbers['questions']} questions, {numbers['candidates']} candidates each, seed {numbers['seed']}"
    console.print(f"{numbers['judge']['judge']} on {numbers['data']}: {asked}", highlight=False, markup=False)
    console.print(picks_table(numbers))
    for line in lines(numbers):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def picks_table(numbers: dict[str, Any]) -> Table:
    """One row per judge, chance first."""
    table = Table(box=SIMPLE_HEAD)
    for index, column in enumerate(("", *COLUMNS.values())):
        table.add_column(column, justify="right" if index else "left")
    chance = {"picked": 1 / (numbers["candidates"] + 1), "ranked_first": numbers["chance"]}
    chance["picked_popular"] = chance["picked"]
    table.add_row("chance", *(shown(chance.get(key)) for key in COLUMNS))
    for side, name in SIDES.items():
        table.add_row(name, *(shown(numbers[side].get(key)) for key in COLUMNS))
    return table


def lines(numbers: dict[str, Any]) -> Iterator[str]:
    """What is no table."""
    judge, lead = numbers["judge"], numbers["picked_minus_floor"]
    yield f"picked, judge less word overlap, paired: {lead['mean']:+.3f} [{lead['low']:+.3f}, {lead['high']:+.3f}]"
    low, high = judge["intervals"]["picked"]
    yield f"picked: 95 % interval {low:.3f} to {high:.3f}"
    yield "how often each label wins (%): " + "  ".join(
        f"{key} {100 * won:.0f}" for key, won in judge["labels"].items()
    )
    cost = judge["cost"]
    rate = cost["judgements_per_second"]
    speed = f"{rate:.1f} judgements per second" if rate else "speed not known: all answers were cached"
    per = cost["tokens_per_judgement"]
    tokens = f"; {per:.0f} tokens each" if per else ""
    price = f"; {cost['price_per_1000']:.4g} per 1,000 judgements" if cost["price_per_1000"] is not None else ""
    yield f"asked {cost['asked']}, cached {cost['cached']}: {speed}{tokens}{price}"
    for attack, gain in numbers["injection"].items():
        bounds = f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
        yield f"injected title, {attack}: picked {gain['mean']:+.3f} {bounds} more often than the same title without it"


def shown(value: float | None) -> str:
    """Three digits, or nothing."""
    return "" if value is None else f"{value:.3f}"
