"""How files, their `defaults`, and options are laid over each other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ialp.errors import UserError
from ialp.experiment.composition import compose, source


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a file below the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, text: str) -> str:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"--config={name}"

    return run


def composed(*arguments: str) -> dict[str, Any]:
    """The whole tree, options included, as plain values."""
    return yaml.safe_load(yaml.serialize(compose(arguments).tree))


def test_compose_lays_a_file_over_its_defaults_and_later_files_over_both(write):
    write("parts/base.yaml", "model: {a: 1, b: 1, c: 1}")
    write("parts/more.yaml", "model: {b: 2}\nlist: [1, 2]")
    first = write("first.yaml", "defaults: [parts/base, parts/more.yaml]\nmodel: {c: 3}\nother: ${model.a}")
    second = write("second.yaml", "list: [3]")
    whole = {"model": {"a": 1, "b": 2, "c": 3}, "list": [3], "other": "${model.a}"}
    assert composed(first, second) == whole
    assert composed(first, "--list=[3]", "--config", "second.yaml", "--model.a", "4") == whole | {
        "model": {"a": 4, "b": 2, "c": 3}
    }


def test_compose_finds_defaults_beside_a_file_or_above_its_folder(write):
    write("configs/logs/lfm.yaml", "log: lfm")
    write("configs/logs/own.yaml", "defaults: [lfm]\nown: 1")
    write("configs/methods/mine.yaml", "defaults: [logs/own]\nmine: 1")
    assert composed(write("mine.yaml", "defaults: [configs/methods/mine]")) == {"log": "lfm", "own": 1, "mine": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: 1\ndefaults: [logs/lfn]",
            "configs/a.yaml:2: defaults: no config configs/logs/lfn.yaml; did you mean conf",
        ),
        ("defaults: logs/lfm", "configs/a.yaml:1: defaults: a list of configs is expected"),
        ("defaults: [logs/lfm, circle]", "configs/circle.yaml:1: defaults: configs/a.yaml builds on itself"),
        ("defaults: [broken]", "configs/broken.yaml:2: not YAML"),
        ("[a]: 1", "configs/a.yaml:1: a key must be a word"),
    ],
)
def test_compose_names_the_file_whose_defaults_cannot_be_used(write, text, said):
    write("configs/logs/lfm.yaml", "log: lfm")
    write("configs/circle.yaml", "defaults: [a]")
    write("configs/broken.yaml", "a: 1\nb: [")
    with pytest.raises(UserError) as error:
        compose([write("configs/a.yaml", text)])
    assert said in str(error.value)


OLD = "class_path: ialp.rl.A2C, init_args: {gamma: 0.5, bootstrap: policy}"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("{class_path: ialp.rl.Reinforce}", {"class_path": "ialp.rl.Reinforce"}),
        ("Reinforce", {"class_path": "Reinforce"}),
        ("{class_path: DQN, init_args: {tau: 0.1}}", {"class_path": "DQN", "init_args": {"tau": 0.1}}),
        (
            "{class_path: A2C, init_args: {gamma: 0.9}}",
            {"class_path": "A2C", "init_args": {"gamma": 0.9, "bootstrap": "policy"}},
        ),
        (
            "{init_args: {gamma: 0.9}}",
            {"class_path": "ialp.rl.A2C", "init_args": {"gamma": 0.9, "bootstrap": "policy"}},
        ),
        ("ialp.rl.A2C", {"class_path": "ialp.rl.A2C", "init_args": {"gamma": 0.5, "bootstrap": "policy"}}),
        ("null", None),
        ("'${other}'", "${other}"),
    ],
)
def test_compose_drops_the_arguments_of_a_class_that_another_replaces(write, new, expected):
    below = write("below.yaml", f"model: {{init_args: {{algorithm: {{{OLD}}}}}}}")
    above = write("above.yaml", f"model: {{init_args: {{algorithm: {new}}}}}")
    assert composed(below, above)["model"]["init_args"]["algorithm"] == expected


def test_compose_keeps_arguments_of_a_class_named_by_its_path_alone(write):
    below = write("below.yaml", "log: ialp.data.BuiltinLog")
    assert composed(below, "--log.seed=3")["log"] == {"class_path": "ialp.data.BuiltinLog", "init_args": {"seed": 3}}


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        (["--model.algorithm=Reinforce"], 0),
        (["--model.algorithm.gamma=0.1", "--model.algorithm=Reinforce"], 1),
        (["--model.algorithm", "DQN", "--model.algorithm.tau", "1"], 0),
        (['--model.algorithm={"class_path": "DQN", "init_args": {"gamma": 0.1}}', "--model.algorithm=Reinforce"], 1),
        (["--model.help", "A2C", "--trainer.callbacks+=X"], 0),
    ],
)
def test_compose_leaves_to_the_parser_what_still_counts_of_the_command_line(write, options, dropped):
    file = write("a.yaml", f"model: {{class_path: ialp.phases.OnlineAdapt, init_args: {{algorithm: {{{OLD}}}}}}}")
    text, *rest = compose([file, *options]).arguments
    assert rest == options[dropped:]
    below = yaml.safe_load(text.partition("=")[2])["model"].get("init_args", {}).get("algorithm", {})
    assert below == (yaml.safe_load(f"{{{OLD}}}") if "--model.help" in options else {})


def test_source_names_file_and_line_or_the_command_line(write):
    write("base.yaml", "model:\n  lr: 1e-3\n  dim: 3")
    tree = compose([write("a.yaml", "defaults: [base]\nmodel: {dim: 4}"), "--model.layers=2"])
    assert [source(tree.find("model", key)) for key in ("lr", "dim", "layers")] == [
        "base.yaml:2",
        "a.yaml:2",
        "command line",
    ]


def test_compose_names_a_file_that_is_not_utf8(write):
    config = write("a.yaml", "")
    Path("a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"a\.yaml: not a text file in UTF-8"):
        compose([config])
