"""What the tests of ServerLM ask, and whom."""

from dataclasses import fields
from typing import Any

import torch

from ialp.oracle import Limits, PromptTemplate, Questions, RequestOptions, ServerLM
from tests.helpers.fake_server import FakeServer


def judge(server: FakeServer, **arguments: Any) -> ServerLM:
    """A client of the server; settings of a request and limits are given by their own names."""
    return ServerLM(**{"model": "m", "base_url": server.url} | grouped({"timeout": 5.0} | arguments))


def grouped(arguments: dict[str, Any]) -> dict[str, Any]:
    """ServerLM's arguments, from settings of requests and limits by their own names."""
    kinds = {"request": RequestOptions, "limits": Limits}
    names = {field.name: name for name, kind in kinds.items() for field in fields(kind)}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in kinds}
    for name in arguments.keys() & names.keys():
        chosen[names[name]][name] = arguments[name]
    rest = {name: value for name, value in arguments.items() if name not in names}
    return rest | {name: kind(**chosen[name]) for name, kind in kinds.items()}


def questions(template: PromptTemplate, count: int) -> Questions:
    history = [[f"song {row}", "song x"] for row in range(count)]
    return Questions(template, history, [[f"track {row}.{place}" for place in range(10)] for row in range(count)])


def items(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distinct questions about a catalogue of 48."""
    generator = torch.Generator().manual_seed(0)
    history = torch.randint(1, 49, (count, 4), generator=generator)
    offered = torch.stack([torch.randperm(48, generator=generator)[:10] + 1 for _ in range(count)])
    return history, torch.full((count,), 4), offered
