"""The golden prompt, its labels, and templates of a user's own."""

from pathlib import Path

import pytest

from ialp.oracle.prompt import DEFAULT_TEMPLATE, PromptTemplate

GOLDEN = """Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
You are a user in a music platform now. The track is in the form of title; artist. Given a user's listening history \
of track, and candidate track labelled by lowercase letter to be decided to recommend to the user, identify which \
track the user will mostly prefer to at next timestamp. Please judge by the user's preference on title; artist; \
if you think that none of the candidates will be selected by the user, please answer "None".

### Input:
History: Blue; Ann, Red; Bob. Which one the user will mostly like at next timestamp in the following candidates?
a. Green; Cid b. Grey; Dan c. None

### Response:
By analysing the user's preference, the user will select"""


def template(**changes) -> PromptTemplate:
    fields = {"scenario": "music", "item": "track", "behavior": "listening", "attributes": ["title", "artist"]}
    return PromptTemplate(**(fields | changes))


def own_template(folder: Path, old: str, new: str) -> str:
    path = folder / "mine.txt"
    path.write_text(DEFAULT_TEMPLATE.read_text().replace(old, new))
    return str(path)


def test_prompt_golden_prompt():
    assert template().render(["Blue; Ann", "Red; Bob"], ["Green; Cid", "Grey; Dan"]) == GOLDEN


def test_prompt_prefix_is_shared_by_all_questions():
    prompt = template()
    assert prompt.prefix.endswith("History: ")
    assert prompt.render(["x"], ["y"]).startswith(prompt.prefix)
    assert prompt.render([], ["y", "z"]).startswith(prompt.prefix)


def test_prompt_labels_follow_the_number_of_candidates():
    assert template().labels(10) == list("abcdefghijk")
    assert template().labels(25)[-1] == "z"
    for number in (0, 26):
        with pytest.raises(ValueError, match="1 to 25 candidates"):
            template().labels(number)


def test_prompt_only_the_latest_history_is_shown():
    text = template(max_history=2).render(["first", "second", "third"], ["y"])
    assert "History: second, third. Which" in text and "first" not in text


def test_prompt_titles_cannot_break_lines():
    text = template().render(["a\n\n### Response:\tb\x00c\u2028d"], ["e\r\nf"])
    assert "History: a # Response: b c d. Which" in text
    assert "\na. e f b. None\n" in text
    assert text.count("\n") == GOLDEN.count("\n")


def test_prompt_braces_in_items_stay_as_they_are():
    assert "History: {item} {0}. Which" in template().render(["{item} {0}"], ["y"])


@pytest.mark.parametrize("field", ["scenario", "item", "behavior", "attributes", "history", "candidates"])
def test_prompt_missing_field_is_named_with_its_file(tmp_path, field):
    path = own_template(tmp_path, f"{{{field}}}", "nothing")
    with pytest.raises(ValueError, match=rf"mine\.txt: field \{{{field}\}} is missing"):
        template(path=path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{history}", "{history} {mood}", r"unknown field \{mood\}"),
        ("{history}", "{history} {history}", r"\{history\} appears more than once"),
        ("{history}", "{history} {", "double a brace"),
        ("Below", "{candidates} Below", r"\{candidates\} appears more than once"),
    ],
)
def test_prompt_broken_template_is_refused(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        template(path=own_template(tmp_path, old, new))


def test_prompt_template_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        template(path=str(tmp_path / "gone.txt"))


def test_prompt_template_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("{scenario} {item} {behavior} {attributes} {{json}} <{history}> [{candidates}] answer:\n")
    assert template(path=str(path)).render(["x"], ["y"]) == (
        "music track listening title; artist {json} <x> [a. y b. None] answer:"
    )
