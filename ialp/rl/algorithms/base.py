"""How to update, apart from how to act."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.schemes.base import Scheme


class Algorithm(ABC):
    """A loss over a minibatch of transitions. YAML picks the subclass."""

    @abstractmethod
    def loss(self, scheme: "Scheme", batch: Transition) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to descend and what is worth logging (detached scalars)."""
