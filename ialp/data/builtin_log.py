"""The built-in catalogue as a log: what everything runs on where no data is given."""

from typing_extensions import override

from ialp.data.builtin import generate_sessions, generate_tracks
from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import DEFAULT_SPLIT, MUSIC, Log, LogSource, Split


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
