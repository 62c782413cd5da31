"""Every broken log gets one line with file and line, or is cleaned and counted; never a traceback or a silent loss."""

import json
import re
from pathlib import Path

import pytest

from ialp.cli.main import main
from ialp.data.readers import CoatLog, lines
from ialp.errors import UserError
from tests.helpers.broken_data import BROKEN, DROP, UNREADABLE, Broken, command, load_prepared, write_good

KINDS = ["table", "amazon", "lastfm", "atomic"]


def prepare(folder: Path, case: Broken) -> int:
    return main(["data", "prepare", *command(folder, case.kind, case.options), "--out", str(folder / "out")])


def is_said(case: Broken, folder: Path, text: str) -> bool:
    return re.match(re.escape(str(folder)) + str(case.expected), text) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_prepare_and_check_find_nothing_wrong_with_good_logs(kind, tmp_path, capsys):
    write_good(tmp_path, kind)
    assert prepare(tmp_path, Broken("", kind, lambda _: None, {})) == 0
    cleaned = json.loads((tmp_path / "out/manifest.json").read_text())["cleaned"]
    assert cleaned == {}
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    assert main(["data", "check", *command(tmp_path, kind)]) == 0
    assert capsys.readouterr().out.count("nothing is wrong") == 2


@pytest.mark.parametrize("blocks", ["one block", "many blocks"])
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_prepare_says_one_line_or_counts(case, blocks, tmp_path, capsys, monkeypatch):
    if blocks == "many blocks":
        if case.big:
            pytest.skip("too long for blocks of a few bytes")
        monkeypatch.setattr(lines, "BLOCK", 256 if case.kind == "amazon" else 32)
    write_good(tmp_path, case.kind)
    case.spoil(tmp_path)
    code, said = prepare(tmp_path, case), capsys.readouterr().err
    if isinstance(case.expected, str):
        assert code == 2 and said.count("\n") == 1, said
        assert is_said(case, tmp_path, said.removeprefix("ialp: error: ")), said
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]
        return
    assert code == 0, said
    cleaned = json.loads((tmp_path / "out/manifest.json").read_text())["cleaned"]
    counts = {key: finding["count"] for key, finding in cleaned.items()}
    assert len(counts) >= len(case.expected) and (case.expected or not counts)
    for part, count in case.expected.items():
        assert [number for key, number in counts.items() if part in key] == [count], counts


@pytest.mark.parametrize(
    "case", [case for case in BROKEN if isinstance(case.expected, str)], ids=lambda case: case.name
)
def test_check_names_the_line_that_prepare_names(case, tmp_path, capsys):
    write_good(tmp_path, case.kind)
    case.spoil(tmp_path)
    assert main(["data", "check", *command(tmp_path, case.kind, case.options)]) == 2
    assert any(is_said(case, tmp_path, line) for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.name)
def test_load_and_check_refuse_broken_folders(case, tmp_path, capsys):
    write_good(tmp_path, case.kind)
    case.spoil(tmp_path)
    with pytest.raises(UserError) as error:
        CoatLog(str(tmp_path)).load() if case.kind == "coat" else load_prepared(tmp_path)
    assert is_said(case, tmp_path, str(error.value)) and "\n" not in str(error.value), str(error.value)
    if case.kind == "prepared" and "manifest" not in case.name:
        assert main(["data", "check", str(tmp_path / "log")]) == 2
        assert any(is_said(case, tmp_path, line) for line in capsys.readouterr().out.splitlines())


def test_prepare_counts_every_row_that_is_left_out(tmp_path):
    """Rows = interactions + what the manifest says was left out."""
    write_good(tmp_path, "table")
    rows = ["u,1,1,5", "u,2,2,5", "u,2,2,5", "w,1,1,5", "v,1,1,9", "v,,1,5", "v,9,1,5", "v,1,x,5", "v,1", "u,3,0,5"]
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp,rating\n" + "\n".join(rows))
    assert prepare(tmp_path, Broken("", "table", lambda _: None, {}, DROP)) == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    left_out = {what: each["count"] for what, each in manifest["cleaned"].items()}
    assert manifest["counts"]["interactions"] == 3 and sum(left_out.values()) == len(rows) - 3
    (first,) = (each["first"] for what, each in manifest["cleaned"].items() if "no item_id" in what)
    assert first.startswith(f"{tmp_path}/interactions.csv:7: no item_id")


def test_check_lists_every_kind_of_problem(tmp_path, capsys):
    write_good(tmp_path, "atomic")
    (tmp_path / "x.item").write_text("item_id:token\ttitle:token_seq\n1\tRed\n1\tBlue\n2\t\n3\tGreen\n4\tGrey\n")
    bad = "u\t3\t1\nu\t4\t2\nu\t9\t1\nu\t8\t1\n\t3\t1\nu\t3\tnoon\nu\t3\n"
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + bad)
    assert main(["data", "check", str(tmp_path / "x.inter")]) == 2
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "problems: 6"
    assert [re.sub(r".*/(x\.\w+:\d+): .*?( \(and 1 more\))?$", r"\1\2", line) for line in said[:-1]] == [
        "x.item:3",
        "x.item:4",
        "x.inter:8",
        "x.inter:6",
        "x.inter:7",
        "x.inter:4 (and 1 more)",
    ]
