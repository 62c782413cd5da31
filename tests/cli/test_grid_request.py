from pathlib import Path

import pytest

from ialp.cli.grid import read_request
from ialp.errors import UserError


def file(text: str, path: str = "grid.yaml") -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def seeds(*arguments: str) -> list[int | None]:
    return [cell.seed for cell in read_request(arguments).cells]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--seeds", "0-4"], [0, 1, 2, 3, 4]),
        (["--seeds", "0,1,7"], [0, 1, 7]),
        (["--seeds", "3,5-6,3"], [3, 5, 6]),
        ([], [None]),
    ],
)
def test_grid_request_seeds_of_the_command_line(words: list[str], expected: list[int | None]) -> None:
    assert seeds("a.yaml", *words) == expected


@pytest.mark.parametrize("text", ["0-2", "[0, 1, 2]", "0,1,2", "[0-1, 2]"])
def test_grid_request_seeds_of_a_file(text: str) -> None:
    assert seeds("--file", file(f"configs: [a.yaml]\nseeds: {text}\n")) == [0, 1, 2]
    assert seeds("--file", file("configs: [a.yaml]\nseeds: 0\n")) == [0]


def test_grid_request_cells_are_the_product_seed_by_seed() -> None:
    path = file("configs: [a.yaml, b.yaml]\nseeds: 0-1\noverrides: {x: {}, y: {lr: 1e-4}}\n")
    cells = read_request(["--file", path, "--", "--trainer.max_epochs", "3"]).cells
    assert [(cell.seed, cell.config, cell.overrides) for cell in cells] == [
        (seed, config, name) for seed in (0, 1) for config in ("a.yaml", "b.yaml") for name in ("x", "y")
    ]
    assert cells[1].arguments == ["--config=a.yaml", "--trainer.max_epochs", "3", "--lr=1e-4"]


def test_grid_request_overrides_become_options() -> None:
    values = "{a.lr: 0.001, b: null, c: true, d: {class_path: X, init_args: {n: 2}}, e: word, config: over.yaml}"
    [cell] = read_request(["--file", file(f"configs: [a.yaml]\noverrides: {{x: {values}}}\n")]).cells
    options = ["--a.lr=0.001", "--b=null", "--c=true", '--d={"class_path": "X", "init_args": {"n": 2}}', "--e=word"]
    assert cell.arguments == ["--config=a.yaml", *options, "--config=over.yaml"]


def test_grid_request_command_line_wins_over_the_file() -> None:
    path = file("configs: [a.yaml]\nseeds: 0-9\nprocesses: 4\nname: mine\n")
    request = read_request(["b.yaml", "--file", path, "--seeds", "1", "--name", "yours"])
    assert [(cell.config, cell.seed) for cell in request.cells] == [("b.yaml", 1)]
    assert (request.processes, request.name) == (4, "yours")


def test_grid_request_configs_of_a_file_lie_beside_it_or_in_the_working_directory() -> None:
    file("", "grids/a.yaml")
    path = file("configs: [a.yaml, b.yaml]", "grids/g.yaml")
    assert [cell.config for cell in read_request(["--file", path]).cells] == ["grids/a.yaml", "b.yaml"]


def test_grid_request_configs_may_stand_anywhere_and_count_once() -> None:
    request = read_request(["--seeds", "0", "a.yaml", "--processes", "3", "b.yaml", "c.yaml", "a.yaml"])
    assert [cell.config for cell in request.cells] == ["a.yaml", "b.yaml", "c.yaml"]


def test_grid_request_name_is_the_same_for_the_same_request() -> None:
    names = [read_request(words.split()).name for words in ("x/a.yaml b.yaml", "x/a.yaml b.yaml --processes 7")]
    assert names[0] == names[1] and names[0].startswith("a+1-")
    assert read_request(["x/a.yaml", "b.yaml", "--seeds", "1"]).name != names[0]
    assert read_request(["--file", file("configs: [a.yaml]", "mine.yaml")]).name == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no configs"),
        (["a.yaml", "--seeds", "3-1"], "'3-1' is no seed"),
        (["a.yaml", "--seeds", "b.yaml"], "'b.yaml' is no seed"),
        (["--config", "a.yaml"], "no option --config: options of `ialp fit` come after --"),
        (["a.yaml", "--processes", "0"], "processes: a whole number from 1 on"),
        (["a.yaml", "--trainer.max_epochs", "3"], "--trainer.max_epochs: options of `ialp fit` come after --"),
        (["a.yaml", "--", "--seed_everything=3"], "given by --seeds"),
        (["a.yaml", "--name", "../up"], "no name for a folder"),
        (["a.yaml", "--name", ".."], "no name for a folder"),
        (["--file", "none.yaml"], "no config none.yaml"),
    ],
)
def test_grid_request_refuses_bad_options_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        read_request(words)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("configs: [a.yaml]\nseed: 3\n", 'grid.yaml:2: a grid file has no "seed"; did you mean seeds?'),
        ("configs: a.yaml\n", "configs: a list is expected"),
        ("configs: [a.yaml]\noverrides: [3]\n", "overrides: sets by name"),
        ("configs: [a.yaml]\noverrides: {model.lr: 3}\n", "overrides: sets by name"),
        ("configs: [a.yaml]\noverrides: {x: {seed_everything: 3}}\n", "given by --seeds"),
        ("configs: [a.yaml\n", "not YAML"),
    ],
)
def test_grid_request_names_bad_files(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_request(["--file", file(text)])
    assert message in str(error.value)
