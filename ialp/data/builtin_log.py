"""The built-in catalogue as a log: what everything runs on where no data is given."""

from ialp.data.builtin import generate_sessions, generate_tracks
from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource

ATTRIBUTES = ("title", "album", "artist")


class BuiltinLog(LogSource):
    """Generated tracks and sessions in which taste shows in the text; the same seed gives the same log.

    Args:
        num_tracks: Number of tracks.
        num_sessions: Number of sessions, training and test together.
        seed: Seed of tracks and sessions.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sessions that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        num_tracks: int = 2000,
        num_sessions: int = 3000,
        seed: int = 0,
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ):
        self.num_tracks = num_tracks
        self.num_sessions = num_sessions
        self.seed = seed
        self.max_words = max_words
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def load(self) -> Log:
        """Generate the log."""
        tracks = generate_tracks(self.num_tracks, self.seed)
        sessions = generate_sessions(tracks, self.num_sessions, self.seed)
        columns = {name: [track[name] for track in tracks] for name in ATTRIBUTES}
        catalogue = Catalogue([track["item_id"] for track in tracks], columns, self.max_words)
        sequences = Interactions.from_sequences([[index + 1 for index in session] for session in sessions])
        train, test = sequences.split(self.test_fraction, self.split_seed)
        return Log(
            name="builtin",
            catalogue=catalogue,
            train=train,
            test=test,
            scenario="music",
            item_word="track",
            behavior="listening",
            is_builtin=True,
        )
