"""The built-in catalogue: tracks and sessions from a seed, in which taste shows in the text.

Tracks lie in the order genre, artist, album. Every genre has words of its own that turn up in its titles, albums and
artists' names; an artist stays in one genre. A session wanders from a track to another of the same album, artist or
genre, now and then anywhere, so a reader of the history can often tell what comes next. Artists and tracks differ in
popularity (a Zipf law), so popularity alone is a rival to be beaten. The same seed gives the same catalogue.
"""

import functools
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import DEFAULT_SPLIT, MUSIC, Log, LogSource, Split

WORDS_FILE = Path(__file__).parent / "words.txt"
TRACKS_PER_ARTIST = 9  # on average
TRACKS_PER_ALBUM = 5
STAY_ALBUM, STAY_ARTIST, STAY_GENRE = 0.35, 0.65, 0.92  # cumulative; what remains goes anywhere
MIN_PLAYS, MAX_PLAYS = 3, 20
REMARKS = ("(Live)", "(Remix)", "- Remastered", "(Acoustic)", "(Demo)", "(Extended Mix)", "- Radio Edit")
NAME_FORMS = (
    "{syllables}",
    "{first} {last}",
    "The {band}",
    "{genre} {band}",
    "{syllables} {band}",
    "{first} {syllables}",
)

Words = dict[str, tuple[str, ...]]


class BuiltinLog(LogSource):
    """Generated tracks and sessions in which taste shows in the text; the same seed gives the same log.

    Args:
        num_tracks: Number of tracks.
        num_sessions: Number of sessions, training and test together.
        seed: Seed of tracks and sessions.
        max_words: Every attribute is cut to so many words.
        split: Which sessions make the test world.
    """

    def __init__(
        self,
        num_tracks: int = 2000,
        num_sessions: int = 3000,
        seed: int = 0,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ):
        self.num_tracks, self.num_sessions, self.seed = num_tracks, num_sessions, seed
        self.max_words, self.split = max_words, split

    @override
    def load(self) -> Log:
        tracks = generate_tracks(self.num_tracks, self.seed)
        sessions = generate_sessions(tracks, self.num_sessions, self.seed)
        columns = {name: [track[name] for track in tracks] for name in ("title", "album", "artist")}
        catalogue = Catalogue([track["item_id"] for track in tracks], columns, self.max_words)
        sequences = Interactions.from_sequences([[index + 1 for index in session] for session in sessions])
        return Log("builtin", catalogue, *self.split(sequences), MUSIC, is_builtin=True)


def generate_tracks(num_tracks: int, seed: int) -> list[dict[str, str]]:
    """Tracks as rows of item_id, title, album and artist; no two tracks of an artist share a title."""
    rng, words = random.Random(seed), read_words()
    genres = genre_names(words)
    tracks: list[dict[str, str]] = []
    taken: set[str] = set()
    while len(tracks) < num_tracks:
        genre = words[genres[len(tracks) * len(genres) // num_tracks]]
        artist = unused(functools.partial(artist_name, rng, words, genre), taken)
        size = min(max(1, round(rng.expovariate(1 / TRACKS_PER_ARTIST))), num_tracks - len(tracks))
        for row in artist_tracks(rng, words, genre, artist, size):
            tracks.append({"item_id": f"t{len(tracks)}", **row})
    return tracks


def artist_tracks(
    rng: random.Random, words: Words, genre: Sequence[str], artist: str, size: int
) -> list[dict[str, str]]:
    """All tracks of one artist, album by album."""
    rows: list[dict[str, str]] = []
    taken: set[str] = set()
    while len(rows) < size:
        album = title(rng, words["common"], genre, genre_share=0.6)
        for _ in range(min(rng.randint(1, 2 * TRACKS_PER_ALBUM - 1), size - len(rows))):
            name = unused(lambda: title(rng, words["common"], genre, genre_share=0.35), taken)
            remark = f" {rng.choice(REMARKS)}" if rng.random() < 0.1 else ""
            rows.append({"title": name + remark, "album": album, "artist": artist})
    return rows


def title(rng: random.Random, common: Sequence[str], genre: Sequence[str], genre_share: float) -> str:
    """One to four words, capitalised, each from the genre's own words with the given share."""
    chosen = [
        rng.choice(genre if rng.random() < genre_share else common) for _ in range(rng.choice((1, 2, 2, 3, 3, 4)))
    ]
    return " ".join(word.capitalize() for word in chosen)


def artist_name(rng: random.Random, words: Words, genre: Sequence[str]) -> str:
    """One to three words: invented from syllables, a person's, a band's."""
    return rng.choice(NAME_FORMS).format(
        syllables="".join(rng.choice(words["syllable"]) for _ in range(rng.randint(2, 4))).capitalize(),
        first=rng.choice(words["name"]).capitalize(),
        last=rng.choice(words["name"]).capitalize(),
        band=rng.choice(words["band"]).capitalize(),
        genre=rng.choice(genre).capitalize(),
    )


def generate_sessions(tracks: Sequence[dict[str, str]], num_sessions: int, seed: int) -> list[list[int]]:
    """Sessions as lists of indexes into `tracks`; all sessions take their steps at once."""
    rng = np.random.default_rng(seed)
    number, num_genres = len(tracks), len(genre_names(read_words()))
    artists = runs([row["artist"] for row in tracks])
    albums = runs([row["artist"] + "\n" + row["album"] for row in tracks])
    genres = runs([str(index * num_genres // number) for index in range(number)])
    circles = np.stack([albums, artists, genres, np.tile([0, number], (number, 1))])
    cumulative = np.concatenate([[0.0], np.cumsum(popularity(artists[:, 0], rng))])  # (I + 1,)
    current = draw(rng, cumulative, circles[-1, :1].repeat(num_sessions, axis=0))
    plays = [current]
    for _ in range(MAX_PLAYS - 1):
        circle = np.searchsorted([STAY_ALBUM, STAY_ARTIST, STAY_GENRE], rng.random(num_sessions), side="right")
        following = draw(rng, cumulative, circles[circle, current])
        again = following == current  # a track is seldom played twice on end: look once more, genre-wide
        following[again] = draw(rng, cumulative, circles[2, current[again]])
        plays.append(current := following)
    lengths = np.clip(rng.geometric(0.12, num_sessions) + MIN_PLAYS - 1, MIN_PLAYS, MAX_PLAYS)
    return [row[:length].tolist() for row, length in zip(np.stack(plays, axis=1), lengths, strict=True)]


def draw(rng: np.random.Generator, cumulative: NDArray, ranges: NDArray) -> NDArray:
    """(B,) tracks drawn by popularity, each from its range (B, 2) of first track and one past the last."""
    low, high = cumulative[ranges[:, 0]], cumulative[ranges[:, 1]]
    drawn = np.searchsorted(cumulative, low + rng.random(len(ranges)) * (high - low), side="right") - 1
    return np.clip(drawn, ranges[:, 0], ranges[:, 1] - 1)


def popularity(artist_starts: NDArray, rng: np.random.Generator) -> NDArray:
    """(I,) weights: the artist's, by a Zipf law over shuffled ranks, times the track's own."""
    _, artist = np.unique(artist_starts, return_inverse=True)
    artist_weight = 1 / (10 + rng.permutation(artist.max() + 1)) ** 0.8
    return artist_weight[artist] / (1 + rng.permutation(len(artist)) % TRACKS_PER_ARTIST)


def runs(keys: Sequence[str]) -> NDArray:
    """(I, 2) for each position the start and end of the run of equal keys around it."""
    edges = [0, *(index for index in range(1, len(keys)) if keys[index] != keys[index - 1]), len(keys)]
    return np.concatenate([np.tile([start, end], (end - start, 1)) for start, end in pairwise(edges)])


def unused(propose: Callable[[], str], taken: set[str]) -> str:
    """The first proposal that is not taken; takes it."""
    while (proposal := propose()) in taken:
        pass
    taken.add(proposal)
    return proposal


def genre_names(words: Words) -> list[str]:
    """Names of the groups of genres, in the order of the file."""
    return [name for name in words if name.startswith("genre ")]


@functools.cache
def read_words() -> Words:
    """The groups of `words.txt`, each without repeats."""
    groups: dict[str, list[str]] = {}
    for line in WORDS_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            group = groups.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            group.extend(line.split())
    return {name: tuple(dict.fromkeys(group)) for name, group in groups.items()}
