"""What the tests of ServerLM ask, and whom."""

from dataclasses import fields
from typing import Any

import torch

from ialp.oracle import Limits, PromptTemplate, Questions, ServerLM
from tests.helpers.fake_server import FakeServer


def judge(server: FakeServer, **arguments: Any) -> ServerLM:
    """A client of the server; limits are given by their own names."""
    return ServerLM(**{"model": "m", "base_url": server.url} | grouped({"timeout": 5.0} | arguments))


def grouped(arguments: dict[str, Any]) -> dict[str, Any]:
    """ServerLM's arguments, from these and limits by their own names."""
    names = {field.name for field in fields(Limits)}
    limits = {name: value for name, value in arguments.items() if name in names}
    rest = {name: value for name, value in arguments.items() if name not in names}
    return rest | {"limits": Limits(**limits)}


def questions(template: PromptTemplate, count: int) -> Questions:
    history = [[f"song {row}", "song x"] for row in range(count)]
    return Questions(template, history, [[f"track {row}.{place}" for place in range(10)] for row in range(count)])


def items(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distinct questions about a catalogue of 48."""
    generator = torch.Generator().manual_seed(0)
    history = torch.randint(1, 49, (count, 4), generator=generator)
    offered = torch.stack([torch.randperm(48, generator=generator)[:10] + 1 for _ in range(count)])
    return history, torch.full((count,), 4), offered
