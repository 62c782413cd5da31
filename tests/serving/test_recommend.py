"""`ialp recommend`: by a policy that prefers item i in proportion to i, so that every probability is known by hand."""

import io
import json

import pytest
import torch

from ialp.cli.main import main
from ialp.data import BuiltinLog, Catalogue, Log
from ialp.data.readers import CoatLog
from ialp.errors import UserError
from ialp.serving.opening import FinishedRun
from ialp.serving.recommend import history_of, latest, recommend, split_ids, table
from ialp.types import History
from tests.helpers.coat_files import write_coat
from tests.serving.conftest import TRACKS, counting

TOTAL = 60 * 61 / 2  # the sum of 1 … 60


@pytest.fixture(scope="module")
def log() -> Log:
    return BuiltinLog(**TRACKS).load()


@pytest.fixture
def finished(log, tmp_path) -> FinishedRun:
    return counting(log, tmp_path)


@pytest.fixture
def coat(tmp_path) -> FinishedRun:
    return counting(CoatLog(str(write_coat(tmp_path))).load(), tmp_path)


def test_recommend_ranks_items_not_yet_shown(finished, log):
    rows = recommend(finished, [60, 58, 1], top=3)
    assert [row["id"] for row in rows] == [log.names[59], log.names[57], log.names[56]]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    left = TOTAL - 60 - 58 - 1
    assert [row["probability"] for row in rows] == pytest.approx([59 / left, 57 / left, 56 / left])
    assert rows[0]["text"] == log.catalogue.texts[59]


def test_recommend_repeats_items_where_the_policy_may(finished, log):
    finished.policy.repeats = True
    assert recommend(finished, [60], top=1)[0]["probability"] == pytest.approx(60 / TOTAL)


def test_recommend_reads_the_latest_of_a_long_history_and_repeats_nothing(finished, log, capsys):
    history = [60, 59, 1, 2, 3, 4, 5, 6]  # the policy reads six
    rows = recommend(finished, history, top=1)
    assert rows[0]["id"] == log.names[58]
    assert rows[0]["probability"] == pytest.approx(58 / (TOTAL - sum(history)))
    assert capsys.readouterr().err == "note: a history of 8: the policy reads the latest 6\n"


def test_latest_keeps_the_user():
    assert latest([31, 1, 2, 3, 4], 3, num_items=30) == [31, 3, 4]
    assert latest([1, 2, 3, 4], 3, num_items=30) == [2, 3, 4]
    assert latest([31, 1], 3, num_items=30) == [31, 1]


def test_recommend_lists_what_is_left_where_more_is_asked(finished):
    assert len(recommend(finished, [1, 2], top=500)) == 58


def test_recommend_refuses_a_history_of_all_items(finished):
    with pytest.raises(UserError, match="holds all 60 items"):
        recommend(finished, list(range(1, 61)))


def test_split_ids_reads_csv():
    assert split_ids(' a1 ,"one, two", b c,,\nd\n') == ["a1", "one, two", "b c", "d"]
    assert split_ids('"say ""yes"""') == ['say "yes"']
    assert split_ids(" \n") == []


def test_history_of_names_an_id_near_a_mistyped_one(finished, log):
    known = log.catalogue.ids[4]
    with pytest.raises(UserError, match=f'has no item "{known}x" \\(60 items\\); did you mean {known}'):
        history_of(finished, [log.catalogue.ids[0], f"{known}x"])
    with pytest.raises(UserError, match=f'ids look like "{log.names[1]}"'):
        history_of(finished, ["§"])


def test_history_of_refuses_an_empty_history(finished, coat):
    with pytest.raises(UserError, match="an empty history"):
        history_of(finished, [])
    with pytest.raises(UserError, match="--user 0 … 39"):
        history_of(coat, [])


class TestUsers:
    def test_history_of_begins_with_the_user(self, coat, capsys):
        assert history_of(coat, ["4", "0"], user=3) == [34, 5, 1]
        assert history_of(coat, [], user=39) == [70]
        assert not capsys.readouterr().err

    def test_recommend_user_is_never_recommended(self, coat):
        rows = recommend(coat, [34, 30], top=100)
        assert len(rows) == 29 and rows[0]["id"] == "28"

    def test_history_of_notes_a_missing_user(self, coat, capsys):
        assert history_of(coat, ["4"]) == [5]
        assert "begin with a user (--user 0 … 39)" in capsys.readouterr().err

    def test_history_of_refuses_an_unknown_user(self, coat, finished):
        with pytest.raises(UserError, match="0 … 39"):
            history_of(coat, [], user=40)
        with pytest.raises(UserError, match="leave it out"):
            history_of(finished, [], user=0)


def test_table_holds_no_control_characters():
    rows = [{"rank": 1, "probability": 0.25, "id": "a\x1b[2J", "text": "two\nlines"}]
    assert table(rows).splitlines() == [
        "rank  probability  id     text",
        "   1         0.25  a [2J  two lines",
    ]


class TestVerb:
    def test_recommend_prints_a_table(self, run_of, log, capsys):
        shown = ",".join(log.catalogue.ids[:2])
        assert main(["recommend", "--ckpt", str(run_of("mixture")), "--history", shown, "--top", "3"]) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        assert header.split() == ["rank", "probability", "id", "text"]
        best = recommend_numbers(run_of("mixture"), [1, 2], 3)
        assert [line.split()[:1] + line.split()[2:3] for line in lines] == [
            [str(rank), log.names[item]] for rank, item in enumerate(best, 1)
        ]
        assert all(log.catalogue.texts[item] in line for item, line in zip(best, lines, strict=True))

    def test_recommend_json_of_a_history_from_standard_input(self, run_of, log, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(log.catalogue.ids[:9]) + "\n"))
        arguments = ["--ckpt", str(run_of("plain")), "--history", "-", "--top", "2", "--format", "json"]
        assert main(["recommend", *arguments]) == 0
        said = capsys.readouterr()
        rows = json.loads(said.out)
        assert [set(row) for row in rows] == [{"rank", "probability", "id", "text"}] * 2
        assert said.err == "note: a history of 9: the policy reads the latest 6\n"

    @pytest.mark.parametrize("given", [["--history", ""], ["--history", "nothing"], ["--history", "1", "--top", "0"]])
    def test_recommend_bad_input_is_one_line(self, run_of, given, capsys):
        assert main(["recommend", "--ckpt", str(run_of("plain")), *given]) == 2
        said = capsys.readouterr()
        assert not said.out and said.err.startswith("ialp: error: ") and said.err.count("\n") == 1


def recommend_numbers(run, history: list[int], top: int) -> list[int]:
    from ialp.rl.schemes import load_policy

    probabilities = (
        load_policy(run).eval().probabilities(History(torch.tensor([history]), torch.tensor([len(history)])))
    )
    return probabilities[0].topk(top).indices.tolist()


def test_history_of_finds_an_id_with_a_comma(tmp_path, log):
    catalogue = Catalogue(["a, b", "c d", "e"], {"title": ["one", "two", "three"]})
    tiny = Log("tiny", catalogue, log.train, log.test)
    assert history_of(counting(tiny, tmp_path), split_ids('"a, b",c d')) == [1, 2]
