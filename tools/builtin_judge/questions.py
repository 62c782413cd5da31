"""Generated questions to train the judge on: each has a small world of its own, made up on the spot.

A world is a handful of groups: an artist with albums in a genre, or brands in a category. The history comes from some
of them, the true candidate from one of those, the others from elsewhere. Nothing recurs from question to question but
the words themselves, so only comparing texts helps; words that all groups use (live, pack, of, inch) say nothing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from ialp.data.builtin import Words, artist_name, genre_names, read_words, title
from ialp.oracle.prompt import PromptTemplate

GENRES, PRODUCTS = genre_names(read_words()), [name for name in read_words() if name.startswith("product ")]
SCENARIOS = (
    "music",
    "video",
    "shopping",
    "e-commerce",
    "online",
    "streaming",
    "retail",
    "reading",
    "industrial supply",
)
ITEMS = ("music track", "track", "song", "product", "item", "movie", "book", "coat", "article", "game")
BEHAVIORS = ("listening", "purchase", "buying", "watching", "viewing", "reading", "interaction", "rating")
FIELDS = (["title", "album", "artist"], ["title", "category", "brand"], ["title", "artist"], ["name", "type", "maker"])
CASES = (str, str, str, str, str.lower, str.upper)
UNITS = ("in", "inch", "mm", "cm", "ft", "yd", "oz", "ml", "kg", "lb", "volt", "gram")
NONE_SHARE = 0.12


@dataclass
class Question:
    """One question.

    Attributes:
        history: Rendered items, the latest last.
        candidates: Rendered items.
        answer: Index of the true candidate; len(candidates) means None.
    """

    history: list[str]
    candidates: list[str]
    answer: int


class MusicGroup:
    """An artist: a genre's words, a few albums, now and then another script, a missing album, a guest."""

    def __init__(self, rng: random.Random, words: Words, genre: tuple[str, ...] | None = None):
        self.rng = rng
        everyday = words["common"] * 2 + words["place"] + words["name"] + words["english"]
        if rng.random() < 0.15:
            everyday = genre = tuple(invent(rng, words["cyrillic"]) for _ in range(20))
        elif rng.random() < 0.2:
            everyday = tuple(invent(rng, words["syllable"]) for _ in range(20)) + words["common"][:20]
        self.everyday = everyday
        self.genre = genre or tuple(rng.sample(everyday, 12))
        self.remarks = words["music"]
        self.case = rng.choice(CASES)
        self.artist = artist_name(rng, words, self.genre)
        if rng.random() < 0.2:
            self.artist = accent(rng, words, self.artist)
        self.guest = artist_name(rng, words, self.genre)
        self.albums = [title(rng, everyday, self.genre, 0.5) for _ in range(rng.randint(1, 4))]
        self.has_albums = rng.random() < 0.85

    def make(self, loose: bool = False) -> str:
        """One more track; a loose one shares only the genre, an album or a guest with the group."""
        rng = self.rng
        name, artist = title(rng, self.everyday, self.genre, 0.3), self.artist
        album = rng.choice(self.albums) if rng.random() < 0.8 else title(rng, self.everyday, self.genre, 0.3)
        if rng.random() < 0.3:
            name += remark(rng, self.remarks, self.guest)
        if loose:
            words = read_words()
            artist = artist_name(rng, words, self.genre)
            if (kind := rng.random()) < 0.4:
                album, name = title(rng, self.everyday, self.genre, 0.5), f"{name} (feat. {self.artist})"
            elif kind < 0.7:
                album, name = (title(rng, self.everyday, self.genre, 0.9) for _ in range(2))
        return "; ".join([self.case(name), *([self.case(album)] if self.has_albums else []), artist])


class Shop:
    """A few departments whose long names all their products share, each with a shelf of words."""

    def __init__(self, rng: random.Random, words: Words):
        self.departments = []
        for _ in range(rng.randint(2, 6)):
            shelf = words[rng.choice((*PRODUCTS, "fashion", "film", "book", "game"))]
            name = [word.capitalize() for word in rng.sample(shelf + words["goods"], rng.randint(1, 4))]
            self.departments.append((" & ".join(name) if rng.random() < 0.5 else " ".join(name), shelf))


class ProductGroup:
    """A shelf within a department, a few brands, and titles of up to a dozen words with sizes and numbers."""

    def __init__(self, rng: random.Random, words: Words, shop: Shop):
        self.rng = rng
        self.department, self.shelf = rng.choice(shop.departments)
        self.own = tuple(rng.sample(self.shelf, rng.randint(3, 8)))
        self.goods = words["goods"] + tuple(rng.sample(words["english"], 30))
        self.categories = [
            f"{self.department} {title(rng, self.shelf, self.own, 0.7)}" for _ in range(rng.randint(1, 2))
        ]
        self.brands = [artist_name(rng, words, self.own) for _ in range(rng.randint(1, 3))]
        self.length = rng.randint(1, 5)

    def make(self, loose: bool = False) -> str:
        """One more product; a loose one is of another shelf and brand of the department, or only of another brand."""
        rng = self.rng
        brand = artist_name(rng, read_words(), self.own) if loose or rng.random() < 0.4 else rng.choice(self.brands)
        category, own = rng.choice(self.categories), self.own
        if loose and rng.random() < 0.4:
            category, own = f"{self.department} {title(rng, self.shelf, self.own, 0.2)}", self.shelf
        parts = [rng.choice(own if rng.random() < 0.6 else self.shelf) for _ in range(rng.randint(1, 3))]
        parts += [rng.choice(self.goods) for _ in range(rng.randint(0, self.length))]
        rng.shuffle(parts)
        name = " ".join(word.capitalize() for word in parts) + measure(rng)
        if rng.random() < 0.4:
            name = f"{brand} {name}"
        return "; ".join([name, category, *([brand] if rng.random() < 0.9 else [])])


def draw_question(rng: random.Random, max_candidates: int = 10, max_history: int = 10) -> Question:
    """A question with 2 to `max_candidates` candidates and a history of 1 to `max_history` items."""
    new_group = draw_world(rng)
    groups = [new_group() for _ in range(rng.choice((1, 1, 2, 3, 4)))]
    path = draw_path(rng, len(groups), rng.choice((max_history, rng.randint(1, max_history))))
    number = rng.choice((max_candidates, rng.randint(2, max_candidates)))
    candidates = [new_group().make() for _ in range(number)]
    answer = number
    if rng.random() >= NONE_SHARE:
        answer = rng.randrange(number)
        candidates[answer] = groups[path[-1]].make(loose=rng.random() < 0.3)
    return Question([groups[index].make() for index in path[:-1]], candidates, answer)


def draw_world(rng: random.Random) -> Callable[[], MusicGroup | ProductGroup]:
    """What makes the groups of a question: all of music, or of one shop."""
    words = read_words()
    if rng.random() < 0.5:
        genres = rng.sample(GENRES, rng.randint(3, len(GENRES)))
        return lambda: MusicGroup(rng, words, words[rng.choice(genres)] if rng.random() < 0.7 else None)
    shop = Shop(rng, words)
    return lambda: ProductGroup(rng, words, shop)


def draw_path(rng: random.Random, num_groups: int, length: int) -> list[int]:
    """Groups of the history, in streaks, and last the group of what comes next, which is never a new one."""
    path = [rng.randrange(num_groups)]
    for _ in range(length - 1):
        path.append(path[-1] if rng.random() < 0.5 else rng.randrange(num_groups))
    return [*path, path[-1] if rng.random() < 0.5 else rng.choice(path)]


def draw_template(rng: random.Random, path: str | None = None) -> PromptTemplate:
    """A template with words of its own for the platform, the items and what users do."""
    return PromptTemplate(rng.choice(SCENARIOS), rng.choice(ITEMS), rng.choice(BEHAVIORS), rng.choice(FIELDS), path)


def remark(rng: random.Random, remarks: tuple[str, ...], guest: str) -> str:
    """What follows a title: (feat. a guest), - Remix, (Live)."""
    word = rng.choice(remarks).capitalize()
    return rng.choice((f" (feat. {guest})", f" ({word})", f" - {word}", f", {word}. {rng.randint(1, 9)}", f" [{word}]"))


def measure(rng: random.Random) -> str:
    """What a product's title ends with: sizes, model numbers, packs."""
    number, unit = rng.randint(1, 99), rng.choice(UNITS)
    model = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789").upper() for _ in range(rng.randint(3, 6)))
    forms = (
        f", {number} {unit}",
        f" {number}{unit} x {rng.randint(1, 60)} {unit}",
        f", {number / 4} {unit}",
        f" {model}",
    )
    return "".join(rng.sample(forms, rng.randint(0, 2))) + rng.choice(
        ("", "", f" (Pack of {number})", f", {number}/Box")
    )


def invent(rng: random.Random, syllables: tuple[str, ...]) -> str:
    """A word that is in no list."""
    return "".join(rng.choice(syllables) for _ in range(rng.randint(1, 4)))


def accent(rng: random.Random, words: Words, name: str) -> str:
    """A name with a letter from beyond ASCII, or with a digit."""
    place = rng.randrange(len(name))
    return name[:place] + rng.choice((*words["accented"], "$", "3", "0", "x", "!")) + name[place + 1 :]
