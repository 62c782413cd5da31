"""`ialp report`: files, page and what it says to the user."""

import csv
import re
from html.parser import HTMLParser

import pytest

from ialp.cli.main import main
from ialp.report.publish import report

SCHEMES = {"scratch": "Scratch", "finetune": "FineTune", "set": "PolicySet", "llm": "LLMOnline"}


@pytest.fixture(scope="module")
def written(tmp_path_factory, write_online):
    """The report of a small folder with all kinds of methods and one half-finished run."""
    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("out")
    for seed in (0, 1):
        for config, scheme in SCHEMES.items():
            returns = (2 + seed, 5, 8 + seed)
            write_online(runs, config, seed, scheme=f"ialp.rl.schemes.{scheme}", returns=returns)
        write_online(runs, "scratch_greedy", seed, exploration="ialp.rl.Greedy")
        write_online(runs, "<b>mine", seed, scheme="callbacks.mine.Scheme", returns=(1, 1, 1))
    write_online(runs, "scratch", 2, done=False)
    report([runs], out)
    return out


class Page(HTMLParser):
    """Ids, links and whatever a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.fetched += [given[key] for key in ("src", "data", "poster") if key in given]
        self.fetched += [given["href"]] if tag in ("link", "image", "script") and "href" in given else []


def test_report_writes_tables_and_figures_in_two_forms(written):
    names = {path.name for path in (written / "tables").iterdir()}
    for key in ("table2", "table3", "table4", "table4b", "table5", "comparisons", "cost", "missing", "folders"):
        assert {f"{key}.md", f"{key}.csv"} <= names
    figures = {path.name for path in (written / "figures").iterdir()}
    keys = ("figure6_lfm", "figure6b_tested_lfm", "figure8_llmonline_lfm", "figure11_exploration_lfm")
    assert figures == {f"{key}.{suffix}" for key in keys for suffix in ("png", "svg")}


def test_page_is_whole_and_needs_no_network(written):
    text = (written / "index.html").read_text()
    page = Page(text)
    assert page.fetched == [] and "script" not in page.tags and "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id twice: two pictures would share a clip path"
    assert page.tags.count("svg") == 4


def test_page_escapes_what_a_user_has_named(written):
    text = (written / "index.html").read_text()
    assert "<b>mine" not in text and "&lt;b&gt;mine" in text


def test_page_names_what_was_left_out(written):
    text = (written / "index.html").read_text()
    assert "half-finished" in text
    with (written / "tables" / "folders.csv").open() as file:
        assert sorted(row["is"].partition(":")[0] for row in csv.DictReader(file)) == ["half-finished"]


def test_report_of_the_same_runs_is_the_same_files(tmp_path, write_online):
    write_online(tmp_path / "runs", "scratch", 0)
    for name in ("one", "two"):
        report([tmp_path / "runs"], tmp_path / name)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        if path.suffix in (".svg", ".csv", ".html", ".md"):
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "the following arguments are required: runs, --out"),
        (["report", "nothing_there", "--out", "x"], "nothing_there: no such folder"),
        (["report", ".", "--out", "file"], "--out file: a file is there"),
        (["report", ".", "--out", "x"], "no finished online run in ."),
    ],
)
def test_report_refuses_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_report_prints_what_is_missing_and_where_it_lies(tmp_path, write_online, capsys):
    write_online(tmp_path / "runs", "scratch", 0)
    half = write_online(tmp_path / "runs", "scratch", 1, done=False)
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Finished online runs: 1, in LFM (methods: 1).")
    assert any(line.startswith(f"note: {half} is half-finished: after 2,000 environment steps") for line in lines)
    assert lines[-1] == f"report: {tmp_path / 'out' / 'index.html'}"
