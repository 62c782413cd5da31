"""A worked example of an exploration strategy of one's own; copy it, rename it, and name your class in a config.

    exploration: {class_path: callbacks.boltzmann.Boltzmann, init_args: {start: 2.0, end: 0.5, steps: 25000}}

`ialp` is called from the folder that holds `callbacks/`, so the class path resolves without any installation.
"""

from torch import Tensor

from ialp.rl.exploration import Exploration, sample_index


class Boltzmann(Exploration):
    """Samples from π^(1/T), T cooling linearly: above 1 flatter than the policy, below 1 sharper.

    Args:
        start: T at the first step.
        end: T after `steps` environment steps, and from then on.
        steps: Environment steps that the cooling takes; 0 keeps T at `end`.
    """

    def __init__(self, start: float = 2.0, end: float = 0.5, steps: int = 25_000) -> None:
        super().__init__()
        self.start, self.end, self.steps = start, end, steps
        self.anneal(0)

    def anneal(self, environment_steps: int) -> None:
        """Moves T along the line from start to end. Called before every update and after a resume."""
        share = min(1.0, environment_steps / self.steps) if self.steps else 1.0
        self.temperature = self.start + share * (self.end - self.start)

    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) actions from (B, I) probabilities and mask; all randomness comes from the (B, UNIFORMS) uniforms."""
        relative = probabilities.double() / probabilities.amax(1, keepdim=True)  # else a cold power underflows to zero
        weights = relative ** (1 / self.temperature)
        return sample_index(weights * mask, uniforms[:, 0])
