from pathlib import Path

import pytest

from ialp.errors import UserError
from ialp.experiment.grid_request import read_request


def file(text: str, path: str = "grid.yaml") -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["--seeds", "0-4"], [0, 1, 2, 3, 4]),
        (["--seeds", "0,1,7"], [0, 1, 7]),
        (["--seeds", "3,5-6,3"], [3, 5, 6]),
        ([], [None]),
    ],
)
def test_seeds(words: list[str], seeds: list[int | None]) -> None:
    assert list(read_request(["a.yaml", *words]).seeds) == seeds


@pytest.mark.parametrize("text", ["seeds: 0-2", "seeds: [0, 1, 2]", "seeds: 0,1,2", "seeds: [0-1, 2]"])
def test_seeds_of_a_file(text: str) -> None:
    request = read_request(["--file", file(f"configs: [a.yaml]\n{text}\n")])
    assert list(request.seeds) == [0, 1, 2]


def test_a_seed_of_zero_in_a_file_is_a_seed() -> None:
    assert list(read_request(["--file", file("configs: [a.yaml]\nseeds: 0\n")]).seeds) == [0]


def test_every_config_meets_every_seed_and_set_seed_by_seed() -> None:
    grid = file("configs: [a.yaml, b.yaml]\nseeds: 0-1\noverrides: {x: {}, y: {lr: 1e-4}}\n")
    cells = read_request(["--file", grid, "--", "--trainer.max_epochs", "3"]).cells()
    assert [(cell.seed, cell.config, cell.overrides) for cell in cells] == [
        (seed, config, name) for seed in (0, 1) for config in ("a.yaml", "b.yaml") for name in ("x", "y")
    ]
    assert cells[1].arguments == ("--config=a.yaml", "--trainer.max_epochs", "3", "--lr=1e-4")


def test_values_of_overrides_are_written_as_options() -> None:
    values = "{a.lr: 0.001, b: null, c: true, d: {class_path: X, init_args: {n: 2}}, e: word, config: over.yaml}"
    [cell] = read_request(["--file", file(f"configs: [a.yaml]\noverrides: {{x: {values}}}\n")]).cells()
    options = ["--a.lr=0.001", "--b=null", "--c=true", '--d={"class_path": "X", "init_args": {"n": 2}}', "--e=word"]
    assert list(cell.arguments) == ["--config=a.yaml", *options, "--config=over.yaml"]


def test_options_win_over_the_file() -> None:
    grid = file("configs: [a.yaml]\nseeds: 0-9\nprocesses: 4\nname: mine\n")
    request = read_request(["b.yaml", "--file", grid, "--seeds", "1", "--name", "yours"])
    assert (request.configs, request.seeds, request.processes, request.name) == (["b.yaml"], [1], 4, "yours")


def test_configs_of_a_file_lie_beside_it_or_in_the_working_directory() -> None:
    file("", "grids/a.yaml")
    assert read_request(["--file", file("configs: [a.yaml, b.yaml]", "grids/g.yaml")]).configs == [
        "grids/a.yaml",
        "b.yaml",
    ]


def test_a_config_named_twice_is_one() -> None:
    assert read_request(["a.yaml", "--configs", "b.yaml", "a.yaml"]).configs == ["a.yaml", "b.yaml"]


def test_configs_may_come_after_the_options() -> None:
    request = read_request(["--seeds", "0-1", "a.yaml", "--processes", "3", "b.yaml"])
    assert (request.configs, list(request.seeds), request.processes) == (["a.yaml", "b.yaml"], [0, 1], 3)


def test_the_same_request_has_the_same_name_another_has_not() -> None:
    names = [read_request(words.split()).name for words in ("x/a.yaml b.yaml", "x/a.yaml b.yaml --processes 7")]
    assert names[0] == names[1] and names[0].startswith("a+1-")
    assert read_request(["x/a.yaml", "b.yaml", "--seeds", "1"]).name != names[0]
    assert read_request(["--file", file("configs: [a.yaml]", "mine.yaml")]).name == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no configs"),
        (["a.yaml", "--seeds", "3-1"], "'3-1' is no seed"),
        (["a.yaml", "--seeds", "b.yaml"], "'b.yaml' is no seed"),
        (["a.yaml", "--seeds", "0", "1", "2"], "1: no config; several seeds are written as 0-4 or 0,1,7"),
        (["--config", "a.yaml"], "no option --config: configs of runs are listed without it"),
        (["a.yaml", "--processes", "0"], "processes: a whole number from 1 on"),
        (
            ["a.yaml", "--trainer.max_epochs", "3"],
            "--trainer.max_epochs: options of `ialp fit` come after --",
        ),
        (["a.yaml", "--", "--seed_everything=3"], "given by --seeds"),
        (["a.yaml", "--name", "../up"], "no name for a folder"),
        (["a.yaml", "--name", ".."], "no name for a folder"),
        (["--file", "none.yaml"], "no config none.yaml"),
    ],
)
def test_what_cannot_be_meant_gets_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        read_request(words)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("configs: [a.yaml]\nseed: 3\n", 'grid.yaml:2: no key "seed"; did you mean seeds?'),
        ("configs: a.yaml\n", "configs: a list is expected"),
        ("configs: [a.yaml]\noverrides: [3]\n", "overrides: sets by name"),
        ("configs: [a.yaml]\noverrides: {model.lr: 3}\n", "overrides: sets by name"),
        ("configs: [a.yaml]\noverrides: {x: {seed_everything: 3}}\n", "overrides x: seed_everything"),
        ("configs: [a.yaml\n", "not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_request(["--file", file(text)])
    assert said in str(error.value)
