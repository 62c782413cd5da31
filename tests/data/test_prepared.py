import json
import os
from pathlib import Path

import polars as pl
import pytest

from ialp.cli.main import main
from ialp.data import PromptWords
from ialp.data.readers import AtomicLog, FileLog, Intake, PreparedLog, RawLog, TableLog
from ialp.data.readers.prepared import sha256, write_prepared
from ialp.errors import UserError
from tests.helpers.broken_data import write_good


@pytest.fixture
def source(tmp_path: Path) -> FileLog:
    (tmp_path / "source").mkdir()
    write_good(tmp_path / "source", "table")
    return TableLog(str(tmp_path / "source"), name="lamps", words=PromptWords("lighting", "product"))


def test_prepared_log_is_the_log_that_was_prepared(source, tmp_path):
    write_prepared(source, tmp_path / "out", Intake())
    log, again = source.load(), PreparedLog(str(tmp_path / "out")).load()
    assert again.fingerprint == log.fingerprint
    assert (again.name, again.words.scenario, again.words.item) == ("lamps", "lighting", "product")
    assert PreparedLog(str(tmp_path / "out"), words=PromptWords("home")).load().words.scenario == "home"
    with pytest.raises(UserError, match=r"attributes has colour: there are title"):
        PreparedLog(str(tmp_path / "out"), attributes=["colour"]).load()


def test_prepared_log_the_row_of_table_2_by_hand(source, tmp_path, capsys):
    root = str(tmp_path / "source")
    assert main(["data", "prepare", "table", "--root", root, "--out", str(tmp_path / "out")]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["table", "3", "2", "5", "title"]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["reader"]["init_args"]["root"] == root and manifest["ialp"]
    assert set(manifest["sources"]) == {f"{root}/items.csv", f"{root}/interactions.csv"}
    assert manifest["sources"][f"{root}/items.csv"] == sha256(Path(root, "items.csv"))


def test_prepared_log_the_same_log_gives_the_same_bytes(source, tmp_path):
    first = write_prepared(source, tmp_path / "a", Intake())
    assert write_prepared(source, tmp_path / "b", Intake()) == first


class Failing(TableLog):
    def read(self, intake: Intake) -> RawLog:
        raw = super().read(intake)
        return RawLog(raw.items, raw.interactions.with_columns(sequence=pl.Series([object()] * 5, dtype=pl.Object)))


def test_prepared_log_nothing_is_there_unless_all_of_it_is(source, tmp_path):
    """Writing fails after the items' table is written."""
    with pytest.raises(BaseException):  # noqa: B017 - whatever polars raises
        write_prepared(Failing(source.root), tmp_path / "new", Intake())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_prepared_log_a_folder_that_exists_is_left_alone(source, tmp_path):
    write_prepared(source, tmp_path / "out", Intake())
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match="exists: remove it"):
        write_prepared(source, tmp_path / "out", Intake())
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data"], "the following arguments are required: command, READER|PATH"),
        (["data", "prepare"], "the following arguments are required: READER|PATH"),
        (["data", "mend"], "invalid choice: 'mend'"),
        (["data", "prepare", "lastfn"], '"lastfn"; did you mean lastfm?'),
        (["data", "prepare", "ialp.data.BuiltinLog"], "is no subclass of ialp.data.readers.FileLog"),
        (["data", "prepare", "table", "--rot", "x"], "--rot"),
        (["data", "prepare", "table", "--root", "x"], "out"),
        (["data", "prepare", "table", "--root", "x", "--out", "y", "--bad_rows", "keep"], "bad_rows"),
        (["data", "check", "nowhere"], 'no reader, .inter file or prepared folder "nowhere"'),
    ],
)
def test_data_commands_that_are_mistaken_get_one_line(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_prepared_log_a_reader_of_ones_own(source, tmp_path):
    out = str(tmp_path / "out")
    assert main(["data", "prepare", "ialp.data.readers.TableLog", "--root", source.root, "--out", out]) == 0


def test_data_help_shows_readers_and_their_options(capsys):
    assert main(["data", "--help"]) == 0 and "lastfm" in capsys.readouterr().out
    assert main(["data", "prepare", "lastfm", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--gap_minutes" in said and "A longer pause between two plays" in said and "--bad_rows" in said


@pytest.mark.skipif("IALP_DATA" not in os.environ, reason="IALP_DATA names no folder with the published logs")
def test_prepared_log_is_the_published_log(tmp_path):
    log = AtomicLog("lfm", os.environ["IALP_DATA"])
    write_prepared(log, tmp_path / "out", Intake())
    assert PreparedLog(str(tmp_path / "out")).load().fingerprint == log.load().fingerprint
    assert main(["data", "check", str(log.find("lfm.inter"))]) == 0
