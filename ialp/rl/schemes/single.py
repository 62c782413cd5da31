"""The schemes with one policy: scratch, fine-tune, frozen."""

from ialp.nets import ActorCritic
from ialp.rl.schemes.base import Scheme


class Scratch(Scheme):
    """φ starts at random: what every method without pre-training does."""

    needs_pretrained = False

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """φ is the fresh policy."""
        assert fresh is not None
        self.learner = fresh


class FineTune(Scheme):
    """A-iALP_ft: φ starts at θ and all of it trains (section 4.2.2)."""

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """φ is the pre-trained policy."""
        assert pretrained is not None
        self.learner = pretrained


class Frozen(Scheme):
    """iALP as it is: θ acts, nothing learns, only evaluated."""

    trains = False

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """θ, without gradients."""
        assert pretrained is not None
        self.learner = pretrained.requires_grad_(False)
