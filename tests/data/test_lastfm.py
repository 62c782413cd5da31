import pytest

from ialp.data.readers import Intake, LastfmLog
from ialp.errors import UserError

PLAYS = [("Ann", "First", "One", 0), ("Ann", "First", "Two", 240), ("Bob", "", "Three", 480)]  # oldest first
DATES = ["01 Jan 2020 12:00", "01 Jan 2020 12:04", "01 Jan 2020 12:08"]
NOON = 1577880000


def rows(form: str, separator: str = ",") -> list[str]:
    """Lines of an export, the latest play first, as the site lists them."""
    lines = []
    for (artist, album, track, after), date in reversed(list(zip(PLAYS, DATES, strict=True))):
        cells = {"artist": artist, "album": album, "track": track, "date": date, "uts": str(NOON + after), "": ""}
        cells |= {"ms": str(1000 * (NOON + after)), "iso": f"2020-01-01T12:{after // 60:02}:00Z", "user": "me"}
        cells |= {"day": "01 Jan 2020", "clock": f" 12:{after // 60:02}", "n": "7"}
        lines.append(separator.join(cells[name] for name in form.split()))
    return lines


STYLES = {
    "without header": (None, "artist album track date", ","),
    "uts first": (
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid",
        "uts date artist n album n track n",
        ",",
    ),
    "semicolons, milliseconds": ("artist;album;title;timestamp", "artist album track ms", ";"),
    "tabs, capitals": ("Artist\tAlbum\tTrack\tDate", "artist album track date", "\t"),
    "date and time apart": (
        ",Username,Artist,Track,Album,Date,Time",
        "n user artist track album day clock",
        ",",
    ),
    "ISO dates": ("Artist Name,Album,Track Name,utc_time", "artist album track iso", ","),
    "log of many listeners": (None, "user iso n artist n track", "\t"),
}


@pytest.mark.parametrize("style", STYLES)
def test_lastfm_log_header_styles_seen_in_the_wild_give_the_same_log(style, tmp_path):
    header, form, separator = STYLES[style]
    (tmp_path / "x.csv").write_text("\n".join([*([header] if header else []), *rows(form, separator)]) + "\n")
    raw = LastfmLog(str(tmp_path)).read(Intake())
    titles = raw.items["title"].to_list()
    assert [titles[item - 1] for item in raw.interactions["item"]] == ["One", "Two", "Three"]
    assert raw.interactions["sequence"].to_list() == [0, 0, 0]
    assert raw.interactions["timestamp"].to_list() == [NOON, NOON + 240, NOON + 480]
    assert raw.items.sort("title")["artist"].to_list() == ["Ann", "Bob", "Ann"]


def test_lastfm_log_equal_times_of_an_export_with_the_latest_first_are_turned_round(tmp_path):
    lines = [f"Ann,First,{name},01 Jan 2020 12:0{minute}" for name, minute in (("D", 2), ("C", 1), ("B", 1), ("A", 0))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    raw = LastfmLog(str(tmp_path)).read(Intake())
    assert [raw.items["title"][item - 1] for item in raw.interactions["item"]] == ["A", "B", "C", "D"]


def test_lastfm_log_sessions_end_at_a_pause_and_are_cut_at_their_greatest_length(tmp_path):
    minutes = [0, 10, 40, 71, 72, 73, 74, 75, 200, 400]  # pauses of 31 and more part: 3, 5 (cut into 2, 2, 1), 1, 1
    plays = [f"{NOON + 60 * minute},Ann,T{n}" for n, minute in enumerate(minutes)]
    (tmp_path / "x.csv").write_text("\n".join(["uts,artist,track", *plays]))
    intake = Intake()
    raw = LastfmLog(str(tmp_path / "x.csv"), gap_minutes=30, max_plays=2).read(intake)
    assert raw.interactions["sequence"].to_list() == [0, 0, 1, 1, 2, 2]
    assert raw.interactions["item"].to_list() == [1, 2, 4, 5, 6, 7]
    counts = {what.split(",")[0]: each.count for what, each in intake.cleaned.items()}
    assert counts["sequences of one item"] == 4  # of 40, 75, 200 and 400


def test_lastfm_log_listeners_do_not_share_sessions_and_spellings_share_a_track(tmp_path):
    for name, spelling in (("a", "ann,ONE"), ("b", "Ann,One")):
        plays = [f"{NOON + second},{spelling},{second}" for second in (0, 1)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["uts,artist,track,x", *plays]))
    raw = LastfmLog(str(tmp_path), attributes=["title"]).read
    with pytest.raises(UserError, match="1 item in the catalogue"):
        raw(Intake())
    (tmp_path / "b.csv").write_text(f"uts,artist,track\n{NOON},Ann,One\n{NOON + 1},Ann,Two\n")
    log = LastfmLog(str(tmp_path)).read(Intake())
    assert log.interactions["sequence"].to_list() == [0, 0, 1, 1]
    assert log.interactions["item"].to_list() == [1, 1, 1, 2]
    assert log.items["title"].to_list() == ["ONE", "Two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"gap_minutes": 0}, "gap_minutes"), ({"max_plays": 1}, "max_plays"), ({"attributes": ["year"]}, "has year")],
)
def test_lastfm_log_arguments_out_of_range(arguments, said):
    with pytest.raises(UserError, match=said):
        LastfmLog("anywhere", **arguments)


def test_lastfm_log_a_folder_without_exports(tmp_path):
    with pytest.raises(UserError, match="no export in it"):
        LastfmLog(str(tmp_path)).read(Intake())
