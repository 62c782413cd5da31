import pytest

from ialp.data import Catalogue
from ialp.errors import UserError

COLUMNS = {"title": ["one two three", ""], "artist": ["X", "Y  Z"]}


def test_catalogue_texts_cut_words_and_leave_empty_attributes_out():
    catalogue = Catalogue(["a", "b"], COLUMNS, max_words=2)
    assert catalogue.num_items == 2
    assert catalogue.texts == ["", "one two; X", "Y Z"]


def test_catalogue_fingerprint_follows_ids_and_texts():
    same, other = Catalogue(["a", "b"], dict(COLUMNS)), Catalogue(["b", "a"], COLUMNS)
    assert Catalogue(["a", "b"], COLUMNS).fingerprint == same.fingerprint != other.fingerprint
    assert Catalogue(["a", "b"], {**COLUMNS, "artist": ["X", "Y"]}).fingerprint != same.fingerprint


@pytest.mark.parametrize(
    ("ids", "attributes", "what"),
    [
        ([], {"title": []}, "0 item in the catalogue"),
        (["a", "b", "a"], {"title": ["x", "y", "z"]}, '"a" appears twice'),
        (["a", "b"], {"title": ["x", " "]}, 'item "b" has no text in any of: title'),
    ],
)
def test_catalogue_refuses_bad_columns_and_ids(ids, attributes, what):
    with pytest.raises(UserError, match=what):
        Catalogue(ids, attributes)
