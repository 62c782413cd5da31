"""Reading a log of one's own: what is read, and that each kind of bad input gets one line with file and line."""

import logging
import os
from pathlib import Path

import pytest

from ialp.data import Split
from ialp.data.readers import AtomicLog
from ialp.errors import UserError

ITEMS = "item_id:token\ttitle:token_seq\tmaker:token_seq\nA\tRed Lamp\tAcme\nB\tBlue Lamp\t\nC\t\tAcme\n"
INTER = "user_id:token\titem_id:token\ttimestamp:float\nu\tB\t2\nu\tA\t1\nv\tC\t5\nv\tA\t5\nv\tB\t4.5\n"


def write(folder: Path, items: str | bytes = ITEMS, inter: str | bytes = INTER) -> AtomicLog:
    for ending, content in ((".item", items), (".inter", inter)):
        data = content.encode() if isinstance(content, str) else content
        (folder / f"mydata{ending}").write_bytes(data)
    return AtomicLog("mydata", str(folder), attributes=["title", "maker"], split=Split(0.5))


def sequences(log) -> list[list[int]]:
    return sorted(part.sequence(i).tolist() for part in (log.train, log.test) for i in range(len(part)))


def test_atomic_log_a_log_of_ones_own(tmp_path):
    log = write(tmp_path).load()
    assert log.catalogue.texts == ["", "Red Lamp; Acme", "Blue Lamp", "Acme"]
    assert log.attribute_names == ["title", "maker"] and log.name == "mydata" and not log.is_builtin
    assert sequences(log) == [[1, 2], [2, 3, 1]]  # by time; v's two items at time 5 as in the file


def test_atomic_log_a_folder_of_its_own_other_columns_and_order(tmp_path):
    (tmp_path / "mydata").mkdir()
    header = "timestamp:float\tx:float\titem_id:token\tsession_id:token\n"
    write(tmp_path / "mydata", inter=header + "1\t0\tA\ts\n2\t0\tB\ts\n1\t0\tC\tr\n2\t0\tB\tr\n")
    log = AtomicLog("mydata", str(tmp_path), attributes=["maker", "title"], split=Split(0.5)).load()
    assert log.catalogue.texts[1] == "Acme; Red Lamp"
    assert sequences(log) == [[1, 2], [3, 2]]


def test_atomic_log_byte_order_mark_windows_lines_and_blank_lines(tmp_path):
    def windows(text: str) -> bytes:
        return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n"

    log = write(tmp_path, windows(ITEMS), windows(INTER)).load()
    assert sequences(log) == [[1, 2], [2, 3, 1]] and log.catalogue.texts[3] == "Acme"


def test_atomic_log_line_separators_inside_a_title_are_no_line_ends(tmp_path):
    assert write(tmp_path, ITEMS.replace("Red Lamp", "Red\u2028Lamp\x85")).load().catalogue.num_items == 3


def test_atomic_log_sequences_of_one_item_are_dropped_and_counted(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        log = write(tmp_path, inter=INTER + "w\tA\t1\nx\tA\t1\n").load()
    assert len(sequences(log)) == 2
    assert "2 of 4 sequences have one item only" in caplog.text


def test_atomic_log_without_a_root_the_built_in_catalogue_is_taken_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        log = AtomicLog("lfm", root=None).load()
    assert log.is_builtin and log.name == "builtin"
    assert "built-in catalogue" in caplog.text


@pytest.mark.parametrize(
    ("items", "inter", "where", "what"),
    [
        ("", INTER, ".item", "empty file"),
        ("\n\n", INTER, ".item", "empty file"),
        (ITEMS, "", ".inter", "empty file"),
        (ITEMS, INTER.split("\n")[0] + "\n", ".inter", "only a header"),
        (ITEMS.replace("maker:", "brand:"), INTER, ".item:1", "no column maker: the header has item_id, title, brand"),
        (ITEMS, INTER.replace("timestamp:", "time:"), ".inter:1", "no column timestamp"),
        (ITEMS, INTER.replace("user_id:", "who:"), ".inter:1", "no column user_id"),
        (ITEMS.replace("title:", "title:x\ttitle:"), INTER, ".item:1", "title appears twice"),
        (ITEMS.replace("\t", ","), INTER, ".item:1", "no '\\t'"),
        (ITEMS, INTER.replace("\t", " "), ".inter:1", "no '\\t'"),
        (ITEMS, INTER.replace("u\tA\t1", "u,A,1"), ".inter:3", "1 fields, the header has 3"),
        (ITEMS, INTER.replace("u\tA\t1", "u\tA\t1\t9"), ".inter:3", "4 fields, the header has 3"),
        (ITEMS, INTER.replace("v\tA\t5", "v\tZ9\t5"), ".inter:5", 'item "Z9" is not in'),
        (ITEMS, INTER.replace("u\tA\t1", "u\tA\tnoon"), ".inter:3", 'timestamp "noon" is not a number'),
        (ITEMS, INTER.replace("u\tA\t1", "u\tA\t"), ".inter:3", 'timestamp "" is not a number'),
        (ITEMS, INTER.replace("u\tA\t1", "u\tA\tinf"), ".inter:3", 'timestamp "inf" is not a number'),
        (ITEMS, INTER.replace("u\tA\t1", "\tA\t1"), ".inter:3", "no user_id"),
        (ITEMS.replace("C\t\tAcme", "C\t\t "), INTER, ".item:4", 'item "C" has no text'),
        (ITEMS.replace("C\t\tAcme", "A\t\tAcme"), INTER, ".item:4", 'item id "A" appears a second time'),
        (ITEMS.replace("B\tBlue", "\tBlue"), INTER, ".item:3", "no item_id"),
        (ITEMS.encode().replace(b"Blue", b"Bl\xfce"), INTER, ".item:3", "not UTF-8"),
        (ITEMS, INTER.encode("utf-16"), ".inter:1", "not UTF-8"),
        (ITEMS, INTER.split("\n")[0] + "\nu\tA\t1\nv\tB\t2\n", ".inter", "every user_id has one interaction"),
    ],
)
def test_atomic_log_bad_input_names_file_and_line(tmp_path, items, inter, where, what):
    with pytest.raises(UserError) as error:
        write(tmp_path, items, inter).load()
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/mydata{where}:") and what in message and "\n" not in message


def test_atomic_log_one_sequence_cannot_be_split(tmp_path):
    with pytest.raises(UserError, match="a training and a test part need one each"):
        write(tmp_path, inter="\n".join(INTER.split("\n")[:3])).load()


@pytest.mark.parametrize("ending", [".item", ".inter"])
def test_atomic_log_a_missing_file_is_named_with_both_places(tmp_path, ending):
    source = write(tmp_path)
    (tmp_path / f"mydata{ending}").unlink()
    with pytest.raises(UserError) as error:
        source.load()
    assert f"{tmp_path}/mydata/mydata{ending} or {tmp_path}/mydata{ending}" in str(error.value)


@pytest.mark.parametrize("attributes", [[], ["title", "title"], ["item_id"]])
def test_atomic_log_attributes_are_text_columns_named_once(attributes):
    with pytest.raises(UserError, match="attributes"):
        AtomicLog("mydata", "anywhere", attributes=attributes)


@pytest.mark.skipif("IALP_DATA" not in os.environ, reason="IALP_DATA names no folder with the published logs")
@pytest.mark.parametrize(
    ("name", "attributes", "items", "interactions"),
    [("lfm", ["title", "album", "artist"], 8966, 42198), ("industry", ["title", "category", "brand"], 1585, 19712)],
)
def test_atomic_log_published_logs(name, attributes, items, interactions):
    log = AtomicLog(name, os.environ["IALP_DATA"], attributes).load()
    assert log.catalogue.num_items == items
    assert len(log.train.items) + len(log.test.items) == interactions
