import gzip
import json

import pytest

from ialp.data.readers import AmazonLog, Intake
from ialp.data.readers.amazon import clean_text
from ialp.errors import UserError
from tests.helpers.broken_data import PRODUCTS, REVIEWS, write_good, write_lines


def test_reviews_in_the_order_of_time_with_their_texts(tmp_path):
    reviews = [{**each, "unixReviewTime": 900 - each["unixReviewTime"]} for each in REVIEWS]
    write_lines(tmp_path / "X_5.json.gz", [json.dumps(each) for each in reviews])
    write_lines(tmp_path / "meta_X.json", [json.dumps(each) for each in PRODUCTS])
    raw = AmazonLog(str(tmp_path), "X", attributes=["brand", "title", "category"]).read(Intake())
    assert raw.interactions["item"].to_list() == [4, 3, 2, 1] * 3
    assert raw.items.row(0) == ("B0", "Lux", "Lamp 0", "Home Lamps")
    log = AmazonLog(str(tmp_path), "X").load()
    assert log.catalogue.render(1) == "Lamp 0; Home Lamps; Lux"


def test_items_left_out_leave_no_gap_in_the_ids(tmp_path):
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


def test_the_same_review_twice_counts_once(tmp_path):
    write_good(tmp_path, "amazon")
    lines = gzip.decompress((tmp_path / "X_5.json.gz").read_bytes()).decode().splitlines()
    write_lines(tmp_path / "X_5.json.gz", [*lines, lines[2]])
    intake = Intake()
    assert AmazonLog(str(tmp_path), "X").read(intake).interactions.height == len(lines)
    assert [each.count for what, each in intake.cleaned.items() if "of another" in what] == [1]


@pytest.mark.parametrize(
    ("value", "text", "dirty"),
    [
        ("Plain", "Plain", False),
        ('3" < 5 mm & more > 2', '3" < 5 mm & more > 2', False),
        ("<b>Bold</b> &amp; loud", "Bold & loud", True),
        (["Home", "</span></span></span>", "Lamps"], "Home Lamps", True),
        ('<span class="a">Lamp</span><script>x = 1;</script>', "Lamp", True),
        ("var aPageStart = (new Date()).getTime();", "", True),
        (None, "", False),
        ([], "", False),
    ],
)
def test_texts_lose_their_html(value, text, dirty):
    assert clean_text(value, "title") == (text, dirty)


def test_a_brand_loses_its_by():
    assert clean_text("by\n    \n    Lux", "brand") == ("Lux", False)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no X_5\.json\.gz at .*: check root"):
        AmazonLog(str(tmp_path), "X").read(Intake())
    with pytest.raises(UserError, match="has price"):
        AmazonLog(str(tmp_path), "X", attributes=["price"])
