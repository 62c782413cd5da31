"""Recommendations of a finished policy after a history of item ids."""

import csv
import sys
from collections.abc import Sequence
from typing import Any

import torch

from ialp.classes import near
from ialp.errors import UserError
from ialp.oracle.neutralise import visible
from ialp.serving.opening import FinishedRun
from ialp.types import History

MOST_COMPARED = 100_000  # ids that a mistyped one is compared with


def split_ids(text: str) -> list[str]:
    """The ids in one or more lines of CSV, without empty cells."""
    cells = [cell.strip() for line in csv.reader(text.splitlines(), skipinitialspace=True) for cell in line]
    return [cell for cell in cells if cell]


def history_of(run: FinishedRun, ids: Sequence[str], user: int | None = None) -> list[int]:
    """The numbers of a history: of its user, where users are known by features, and of its items.

    Raises:
        UserError: An unknown id or user, or an empty history.
    """
    log, users, num_items = run.log, run.num_users, run.log.catalogue.num_items
    if user is not None and not 0 <= user < users:
        known = f"0 … {users - 1}" if users else "known by their histories alone; leave it out"
        raise UserError(f"--user {user}: users of {log.name} are {known}")
    number = {name: place for place, name in enumerate(log.names[: num_items + 1]) if place}
    for name in ids:
        if name not in number:
            hint = near(name, [*number][:MOST_COMPARED]) or f'; ids look like "{log.names[1]}"'
            raise UserError(f'--history: {log.name} has no item "{name}" ({num_items:,} items){hint}')
    first = [] if user is None else [num_items + 1 + user]
    history = [*first, *(number[name] for name in ids)]
    if not history:
        way = f" or --user 0 … {users - 1}" if users else ""
        raise UserError(f"an empty history, from which the policy cannot start: --history id,id,…{way}")
    if users and user is None:
        _note(f"histories of {log.name} begin with a user (--user 0 … {users - 1}); this policy has seen none without")
    return history


@torch.no_grad()
def recommend(run: FinishedRun, history: Sequence[int], top: int = 10) -> list[dict[str, Any]]:
    """The `top` most probable items after a `history_of`, best first: rank, probability, id and text.

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
        _note(f"a history of {len(history)}: the policy reads the latest {len(read)}")
        probabilities = probabilities * allowed
        probabilities = probabilities / probabilities.sum().clamp(min=torch.finfo().tiny)
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


def _note(text: str) -> None:
    """Prints to standard error, since scripts read the output."""
    print(f"note: {text}", file=sys.stderr)
