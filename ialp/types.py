"""What passes between the parts, and the legend of their shapes.

B batch (users, transitions) · T history length · I items, the padding id 0 included · K candidates · D width
E episodes, where all transitions of an episode share a row
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class History:
    """What B users have interacted with: the sequences x_1 … x_t from which their states are encoded (Eq. 4).

    Attributes:
        items: (B, T) ids, right-padded with 0; what follows the first `length` of a row does not count. (E, T) with
            `row`.
        length: (B,) items of each that make the state.
        row: (B,) row of `items` that each history is part of; None: row b is b's.
        user: (B,) numbers of the users; None where they are of no consequence.
    """

    items: Tensor
    length: Tensor
    row: Tensor | None = None
    user: Tensor | None = None

    def select(self, users: Tensor) -> "History":
        """The histories of some of the B users: an index (A,) or a mask (B,)."""
        user = None if self.user is None else self.user[users]
        if self.row is None:
            return History(self.items[users], self.length[users], user=user)
        return History(self.items, self.length[users], self.row[users], user)


@dataclass
class Transition:
    """A batch of steps (s_t, a_t, r_t, s_{t+1}), held as the ids that were shown rather than as states and masks.

    Row b is the sequence x_1 … x_t, a_t, 0, 0, …: the state s_t is its first `length` items, the action the item that
    follows, the next state both together. One causal pass of the encoder therefore yields s_t and s_{t+1}.

    Transitions of whole episodes share a row: with `row`, `items` is (E, T + 1), a row for each episode, and one pass
    over it yields the states of all its transitions.

    Attributes:
        items: (B, T + 1) ids, right-padded with 0; (E, T + 1) with `row`.
        length: (B,) number t of items in the state.
        reward: (B,) reward of the action, scaled.
        terminated: (B,) the user left: nothing follows.
        truncated: (B,) the episode was cut at its horizon: the return still bootstraps.
        candidates: (B, K) what the oracle was shown, or None online.
        choice: (B,) index of its pick among the candidates, K for "None".
        row: (B,) which row of `items` each is part of, all of an episode's transitions being there; None: row b is b's.
    """

    items: Tensor
    length: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    candidates: Tensor | None = None
    choice: Tensor | None = None
    row: Tensor | None = None

    @property
    def history(self) -> History:
        """What the states s_t are encoded from."""
        return History(self.items, self.length, self.row)

    @property
    def next_history(self) -> History:
        """What the next states s_{t+1} are encoded from."""
        return History(self.items, self.length + 1, self.row)

    @property
    def action(self) -> Tensor:
        """(B,) the recommended item."""
        if self.row is not None:
            return self.items[self.row, self.length]
        return self.items.gather(1, self.length.unsqueeze(1)).squeeze(1)


@dataclass
class Judgement:
    """A batch of answers of the oracle.

    Attributes:
        choice: (B,) index of the pick among the K candidates; K means None.
        log_probabilities: (B, K + 1) of every label, in the order of the candidates, None last.
    """

    choice: Tensor
    log_probabilities: Tensor

    @property
    def accepted(self) -> Tensor:
        """(B,) bool: the oracle picked one of the candidates."""
        return self.choice < self.log_probabilities.shape[1] - 1
