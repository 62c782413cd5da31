"""Every golden run repeats its recorded values.

On a machine that computes as the recording one did, which a small numerical probe tells, all figures and the hash of
all weights must be equal to the last digit. Floating point differs between processors and versions of torch, and small
differences grow while a policy learns. On other machines, therefore, only the first two rows of metrics.csv are
compared, with a relative tolerance of 1e-3 and an absolute one of 1e-4, and the weights are not.

A test that fails after a change of code means that the change has moved numbers. If that is meant, record the values
anew: `python -m tests.golden.record`. A run whose figure or column has got another name fails, too; rename it in
values.json rather than recording anew.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

import pytest

from tests.golden.bench import Bench, probe, recorded, values
from tests.golden.runs import RUNS

RESUMED = "online_a2c_policyset_resumed"
FROM_THE_LOG = {"num_users", "user_width", "item_width"}  # widths that the stage itself gives to a net


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The runs of this process, each made once."""
    return Bench(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def exact() -> bool:
    """Whether this machine computes as that of values.json."""
    return probe() == recorded()["probe"]


def test_values_are_recorded_for_every_golden_run_and_no_other() -> None:
    assert set(recorded()["runs"]) == set(RUNS)


def test_a_resumed_run_is_recorded_with_the_values_of_an_unbroken_one() -> None:
    runs = recorded()["runs"]
    assert runs[RESUMED] == runs[RESUMED.removesuffix("_resumed")]


@pytest.mark.parametrize("name", RUNS)
def test_golden_run_repeats_to_the_last_digit(name: str, bench: Bench, exact: bool) -> None:
    found, expected = values(bench.run(name)), recorded()["runs"][name]
    if exact:
        differences = list(unequal(expected, found))
        assert not differences, "\n".join([f"{len(differences)} values differ, among them:", *differences[:20]])
    else:
        assert found["metrics.csv"][:2] == almost(expected["metrics.csv"][:2])


def unequal(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, compared by the text that JSON gives to a number."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from unequal(expected.get(key, "nothing"), found.get(key, "nothing"), f"{place}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for row, pair in enumerate(zip(expected, found, strict=True)):
            yield from unequal(*pair, f"{place}[{row}]")
    elif json.dumps(expected) != json.dumps(found):
        yield f"{place}: recorded {expected!r}, found {found!r}"


def almost(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose numbers equal others that differ a little."""
    return [
        {name: pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True) for name, value in row.items()} for row in rows
    ]


def test_what_differs_is_found_and_named() -> None:
    expected = {"rows": [{"loss": 0.1, "step": 1.0}], "weights": {"sha256": "a"}}
    found = {"rows": [{"loss": 0.1 + 1e-16, "step": 1.0, "more": 2.0}], "weights": {}}
    assert list(unequal(expected, expected)) == []
    assert [line.partition(":")[0] for line in unequal(expected, found)] == [
        "/rows[0]/loss",
        "/rows[0]/more",
        "/weights/sha256",
    ]
    assert list(unequal([1], [1, 2])) == [": recorded [1], found [1, 2]"]
    assert list(unequal(float("nan"), float("nan"))) == []


def test_elsewhere_small_differences_pass_and_large_ones_do_not() -> None:
    rows = [{"loss": 1.0, "step": 0.0}]
    near = [{"loss": 1.0005, "step": 0.0}]
    assert near == almost(rows)
    for other in ([{"loss": 1.01, "step": 0.0}], [{"loss": 1.0}], []):
        assert other != almost(rows)


@pytest.mark.parametrize("name", RUNS)
def test_golden_run_names_every_argument_that_has_a_default(name: str) -> None:
    for path, given in instances(RUNS[name]):
        module, _, cls = path.rpartition(".")
        if module.startswith("ialp."):
            parameters = signature(getattr(import_module(module), cls)).parameters.values()
            free = {each.name for each in parameters if each.default is not Parameter.empty}
            assert free - given - FROM_THE_LOG == set(), f"{path}: give the value that keeps the run's numbers"


def instances(value: Any) -> Iterator[tuple[str, set[str]]]:
    """Class path and names of arguments of all that a config makes."""
    if isinstance(value, dict):
        if "class_path" in value:
            yield value["class_path"], set(value["init_args"])
        for each in value.values():
            yield from instances(each)
    elif isinstance(value, list):
        for each in value:
            yield from instances(each)
