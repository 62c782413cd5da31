"""Recommendations of a finished policy after a history of item ids."""

import csv
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch

from ialp.data import Log
from ialp.errors import UserError
from ialp.oracle.neutralise import visible
from ialp.serving.opening import FinishedRun
from ialp.types import History

MOST_COMPARED = 100_000  # ids that a mistyped one is compared with


def split_ids(text: str) -> list[str]:
    """The ids in one or more lines of CSV, without empty cells."""
    try:
        cells = [cell.strip() for line in csv.reader(text.splitlines(), skipinitialspace=True) for cell in line]
    except csv.Error as error:
        raise UserError(f"--history: {error}; ids are separated by commas, one with a comma stands in quotes") from None
    return [cell for cell in cells if cell]


def history_of(run: FinishedRun, ids: Sequence[str], user: int | None = None) -> list[int]:
    """The numbers of a history: of its user, where users are known by features, and of its items.

    Raises:
        UserError: An unknown id, a user where none belongs, or an empty history.
    """
    log, users, num_items = run.log, run.num_users, run.log.catalogue.num_items
    if user is not None and not users:
        raise UserError(f"--user {user}: users of {log.name} are known by their histories alone; leave it out")
    if user is not None and not 0 <= user < users:
        raise UserError(f"--user {user}: users of {log.name} are 0 … {users - 1}")
    first = [] if user is None else [num_items + 1 + user]
    history = [*first, *numbers_of(log, ids)]
    if not history:
        way = f"--history id,id,… or --user 0 … {users - 1}" if users else "name an item at least: --history id,id,…"
        raise UserError(f"an empty history, from which the policy cannot start: {way}")
    if any(number > num_items for number in history[1:]):
        raise UserError("--history: a user within it; a history has one user, at its beginning: --user")
    if users and history[0] <= num_items:
        note(f"histories of {log.name} begin with a user (--user 0 … {users - 1}); this policy has seen none without")
    return history


def numbers_of(log: Log, ids: Sequence[str]) -> list[int]:
    """Numbers of the log's own ids.

    Raises:
        UserError: The log has no such id; the message names a similar one.
    """
    number = {name: place for place, name in enumerate(log.names) if place}
    unknown = next((name for name in ids if name not in number), None)
    if unknown is not None:
        near = get_close_matches(unknown, number, n=1) if len(number) <= MOST_COMPARED else []
        hint = f'did you mean "{near[0]}"?' if near else f'ids look like "{log.names[1]}"'
        raise UserError(f'--history: {log.name} has no item "{unknown}" ({log.catalogue.num_items:,} items); {hint}')
    return [number[name] for name in ids]


@torch.no_grad()
def recommend(run: FinishedRun, history: Sequence[int], top: int = 10) -> list[dict[str, Any]]:
    """The most probable next items, best first: rank, probability, id and text.

    Args:
        run: A finished run.
        history: Numbers of what was shown, of any length; see `history_of`.
        top: How many items at most.

    Raises:
        UserError: Every item was shown, and none may be shown again.
    """
    policy, log, num_items = run.policy, run.log, run.log.catalogue.num_items
    allowed = policy.mask(History(torch.tensor([history]), torch.tensor([len(history)])))[0]
    left = int(allowed.sum())
    if not left:
        raise UserError(f"--history: holds all {num_items:,} items, and this policy shows none twice")
    read = latest(history, policy.max_length, num_items)
    probabilities = policy.probabilities(History(torch.tensor([read]), torch.tensor([len(read)])))[0]
    if len(read) < len(history):
        note(f"a history of {len(history)}: the policy reads the latest {len(read)}")
        probabilities = probabilities * allowed
        probabilities = probabilities / probabilities.sum().clamp(min=torch.finfo().tiny)
    if top > left:
        note(f"--top {top}: of {num_items:,} items {left:,} may be shown")
    order = probabilities.masked_fill(~allowed, -1.0).argsort(descending=True, stable=True)[: min(top, left)]
    return [
        {
            "rank": rank,
            "probability": float(probabilities[item]),
            "id": log.names[item],
            "text": log.catalogue.texts[item],
        }
        for rank, item in enumerate(order.tolist(), start=1)
    ]


def latest(history: Sequence[int], longest: int, num_items: int) -> list[int]:
    """The part of a history that a policy reads: its user, if there is one, and the latest items."""
    user = [number for number in history[:1] if number > num_items]
    return [*user, *history[len(user) :][-(longest - len(user)) :]]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per item, in columns, without control characters."""
    cells = [("rank", "probability", "id", "text")]
    cells += [(str(row["rank"]), f"{row['probability']:.4g}", visible(row["id"]), visible(row["text"])) for row in rows]
    width = max(len(line[2]) for line in cells)
    return "\n".join(f"{rank:>4}  {value:>11}  {name:{width}}  {text}".rstrip() for rank, value, name, text in cells)


def note(text: str) -> None:
    """Prints to standard error, since scripts read the output."""
    print(f"note: {text}", file=sys.stderr)
