from dataclasses import dataclass, field
from functools import partial

import pytest

from ialp.envs import PatienceExit
from ialp.errors import UserError
from ialp.nets.response import SequentialResponse
from ialp.recorded import Recorded, description, rebuild


@dataclass
class Size:
    width: int = 3
    names: list[str] = field(default_factory=list)


class Part(Recorded):
    def __init__(self, size: Size, make=SequentialResponse, rules=(), more: "Part | None" = None) -> None:
        self.size, self.make, self.rules, self.more = size, make, rules, more


def make_net(num_items: int) -> SequentialResponse:
    return SequentialResponse(num_items, dim=4)


def test_description_is_rebuilt_with_all_that_is_nested():
    rules = (PatienceExit(5.0), {"a": 1.5})
    made = Part(Size(7, ["x"]), partial(SequentialResponse, dim=8), rules, more=Part(Size(), make=make_net))
    again = rebuild(description(made), Part)
    assert again.size == Size(7, ["x"]) and again.make(5).encoder.item_embedding.weight.shape == (6, 8)
    assert again.rules[0].patience == 5.0 and again.rules[1] == {"a": 1.5}
    assert again.more.size == Size() and again.more.make is make_net and again.more.more is None
    assert description(again) == description(made)


@pytest.mark.parametrize("value", [lambda: None, object(), Part(Size(), rules=[object()]), print])
def test_description_refuses_what_could_not_be_imported_or_written(value):
    with pytest.raises(UserError, match="cannot be"):
        description(value)


@pytest.mark.parametrize("key", ["class_path", "partial"])
@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "ialp.errors.UserError"])
def test_rebuild_calls_nothing_but_recorded_classes_and_dataclasses(key, path):
    with pytest.raises(UserError, match=f"{path} is no Recorded"):
        rebuild({"x": [{key: path, "init_args": {}}]})
