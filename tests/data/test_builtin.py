"""The built-in catalogue: repeatable, quick, and readable for a judge."""

import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from ialp.data import BuiltinLog
from ialp.data.builtin import generate_sessions, generate_tracks, read_words, runs


@pytest.fixture(scope="module")
def tracks() -> list[dict[str, str]]:
    return generate_tracks(2000, seed=0)


@pytest.fixture(scope="module")
def sessions(tracks: list[dict[str, str]]) -> list[list[int]]:
    return generate_sessions(tracks, 3000, seed=0)


def test_builtin_tracks_have_their_four_texts(tracks):
    assert len(tracks) == 2000
    assert all(list(row) == ["item_id", "title", "album", "artist"] for row in tracks)
    assert all(all(row.values()) for row in tracks)
    assert len({row["item_id"] for row in tracks}) == 2000
    texts = Counter((row["title"], row["album"], row["artist"]) for row in tracks)
    assert max(texts.values()) == 1


def test_builtin_an_artist_is_one_run_of_the_catalogue(tracks):
    artists = [row["artist"] for row in tracks]
    changes = sum(left != right for left, right in pairwise(artists))
    assert changes + 1 == len(set(artists)) > 100


def test_builtin_sessions_are_within_bounds(sessions):
    lengths = [len(session) for session in sessions]
    plays = np.concatenate(sessions)
    assert len(lengths) == 3000 and min(lengths) == 3 and max(lengths) == 20
    assert plays.min() >= 0 and plays.max() < 2000
    assert all(isinstance(play, int) for play in sessions[0])


def test_builtin_the_seed_decides():
    assert generate_tracks(300, 5) == generate_tracks(300, 5) != generate_tracks(300, 6)
    tracks = generate_tracks(300, 5)
    assert generate_sessions(tracks, 50, 1) == generate_sessions(tracks, 50, 1) != generate_sessions(tracks, 50, 2)


def test_builtin_taste_shows_in_the_text(tracks, sessions):
    """The artist of the next play is in the latest ten far more often than that of a random track."""
    artists = np.array([row["artist"] for row in tracks])
    rng, hits, chance, questions = np.random.default_rng(0), 0, 0, 0
    for session in sessions:
        for end in range(1, len(session)):
            known = set(artists[session[max(0, end - 10) : end]])
            hits += artists[session[end]] in known
            chance += artists[rng.integers(len(artists))] in known
            questions += 1
    assert hits / questions > 0.6
    assert chance / questions < 0.1


def test_builtin_popularity_is_skewed_but_not_everything(sessions):
    counts = np.sort(np.bincount(np.concatenate(sessions), minlength=2000))[::-1]
    assert 0.2 < counts[:200].sum() / counts.sum() < 0.6


@pytest.mark.parametrize("num_tracks", [1, 7, 40])
def test_builtin_tiny_catalogues(num_tracks):
    tracks = generate_tracks(num_tracks, 0)
    sessions = generate_sessions(tracks, 5, 0)
    assert len(tracks) == num_tracks
    assert all(0 <= play < num_tracks for session in sessions for play in session)


def test_builtin_it_takes_less_than_a_second():
    start = time.perf_counter()
    generate_sessions(generate_tracks(2000, seed=1), 3000, seed=1)
    assert time.perf_counter() - start < 3  # it takes about 0.2 s; other work may share the machine


def test_builtin_runs():
    assert runs(["x", "x", "y", "x"]).tolist() == [[0, 2], [0, 2], [2, 3], [3, 4]]


def test_builtin_words_are_plenty():
    words = read_words()
    assert sum(map(len, words.values())) > 1500
    assert sum(name.startswith("genre ") for name in words) >= 16


def test_builtin_log_is_a_log_like_any_other():
    log = BuiltinLog(num_tracks=100, num_sessions=50).load()
    assert log.is_builtin and log.catalogue.num_items == 100
    assert (len(log.train), len(log.test)) == (40, 10)
    for part in (log.train, log.test):
        assert part.items.min() >= 1 and part.items.max() <= 100
    assert BuiltinLog(num_tracks=100, num_sessions=50).load().fingerprint == log.fingerprint
    assert BuiltinLog(num_tracks=100, num_sessions=50, seed=1).load().fingerprint != log.fingerprint
