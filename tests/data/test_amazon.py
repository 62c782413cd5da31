import gzip
import json

import pytest

from ialp.data.readers import AmazonLog, Intake
from ialp.data.readers.amazon import clean_text
from ialp.errors import UserError
from tests.helpers.broken_data import PRODUCTS, REVIEWS, write_good, write_lines


def test_amazon_log_reviews_in_the_order_of_time_with_their_texts(tmp_path):
    reviews = [{**each, "unixReviewTime": 900 - each["unixReviewTime"]} for each in REVIEWS]
    write_lines(tmp_path / "X_5.json.gz", [json.dumps(each) for each in reviews])
    write_lines(tmp_path / "meta_X.json", [json.dumps(each) for each in PRODUCTS])
    raw = AmazonLog(str(tmp_path), "X", attributes=["brand", "title", "category"]).read(Intake())
    assert raw.interactions["item"].to_list() == [4, 3, 2, 1] * 3
    assert raw.items.row(0) == ("B0", "Lux", "Lamp 0", "Home Lamps")
    log = AmazonLog(str(tmp_path), "X").load()
    assert log.catalogue.texts[1] == "Lamp 0; Home Lamps; Lux"


def test_amazon_log_items_left_out_leave_no_gap_in_the_ids(tmp_path):
    write_good(tmp_path, "amazon")
    write_lines(tmp_path / "meta_X.json.gz", [json.dumps(each) for each in (PRODUCTS[3], PRODUCTS[1], {"asin": "Z"})])
    intake = Intake()
    raw = AmazonLog(str(tmp_path), "X").read(intake)
    assert raw.items["item_id"].to_list() == ["B1", "B3"]
    assert raw.interactions["item"].to_list() == [1, 2] * 3
    counts = {what: each.count for what, each in intake.cleaned.items()}
    assert counts == {
        "metadata of items that nobody reviewed, left out": 1,
        "items without metadata, left out": 2,
        "interactions with an item that is left out, left out too": 6,
    }


def test_amazon_log_the_same_review_twice_counts_once(tmp_path):
    write_good(tmp_path, "amazon")
    lines = gzip.decompress((tmp_path / "X_5.json.gz").read_bytes()).decode().splitlines()
    write_lines(tmp_path / "X_5.json.gz", [*lines, lines[2]])
    intake = Intake()
    assert AmazonLog(str(tmp_path), "X").read(intake).interactions.height == len(lines)
    assert [each.count for what, each in intake.cleaned.items() if "of another" in what] == [1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Plain", "Plain"),
        ('3" < 5 mm & more > 2', '3" < 5 mm & more > 2'),
        ("<b>Bold</b> &amp; loud", "Bold & loud"),
        ("Home </span></span></span> Lamps", "Home Lamps"),
        ('<span class="a">Lamp</span><script>x = 1;</script>', "Lamp"),
        ("var aPageStart = (new Date()).getTime();", ""),
    ],
)
def test_clean_text_removes_html(value, text):
    assert clean_text(value) == text


def test_amazon_log_json_cells_may_be_lists_or_missing_and_a_brand_loses_its_by(tmp_path):
    write_good(tmp_path, "amazon")
    entries = [{"category": ["Home", "<b>Lamps</b>"]}, {"brand": "by\n  \n Lux"}, {"title": None, "brand": "Bye"}]
    lines = [json.dumps({"asin": f"B{n}", **entry}) for n, entry in enumerate(entries)]
    write_lines(tmp_path / "meta_X.json.gz", lines)
    items = AmazonLog(str(tmp_path), "X").read(Intake()).items
    assert items.rows() == [("B0", "", "Home Lamps", ""), ("B1", "", "", "Lux"), ("B2", "", "", "Bye")]


def test_amazon_log_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no X_5\.json\.gz at .*: check root"):
        AmazonLog(str(tmp_path), "X").read(Intake())
    with pytest.raises(UserError, match="has price"):
        AmazonLog(str(tmp_path), "X", attributes=["price"])
