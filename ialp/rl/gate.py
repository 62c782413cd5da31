"""A take-over that waits for evidence."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from ialp.errors import UserError
from ialp.rl.schedules import AlphaSchedule

FROZEN, LEARNER = 0, 1  # who serves a user alone; rows of the windows


class GatedAlpha(nn.Module, AlphaSchedule):
    """α rises only while users served by φ alone fare at least as well as users served by θ alone, and falls otherwise.

    Of every `one_in` users the first (number % one_in = 0) is served wholly by θ and the second by φ, in all their
    episodes while learning; the others by the mixture. Shares are exact, over all processes. Exploration draws for all
    alike; evaluation is that of the mixture. All transitions are learnt from as they come, with log π̂ of the mixture:
    those of the two groups are off-policy for π̂, as replayed ones are, whose π̂ had another α.

    The gate is open where "φ's mean return is at most θ's" is rejected with p ≤ 1 − confidence, by Welch's one-sided t
    on the latest `window` finished episodes of each group: their variances differ, means of 20 and more returns are
    close to normal, and it needs no chance of its own, as a bootstrap would. The confidence is that of one look; there
    is one per batch, and the windows overlap, so over a whole run the gate also opens by mistake, until the evidence is
    gone. Where φ equals θ it stays closed most of the time: φ must be better to be seen as no worse.

    Args:
        one_in: so many users have one of θ's and one of φ's among them.
        confidence: of the test, 0.5 … 1; at 0.5 the larger mean decides.
        start: α at the first step, and the least it falls to; above 0, or φ's actor would not learn.
        rise: environment steps with an open gate in which α would rise from 0 to 1.
        fall: environment steps with a closed gate in which α would fall from 1 to 0.
        window: latest episodes of each group that are compared.
        least: episodes that each group must have for α to move at all.
    """

    serves_alone = True
    returns: Tensor
    alpha: Tensor
    looked: Tensor

    def __init__(
        self,
        one_in: int = 10,
        confidence: float = 0.9,
        start: float = 0.1,
        rise: int = 25_000,
        fall: int = 10_000,
        window: int = 100,
        least: int = 20,
    ) -> None:
        super().__init__()
        if one_in < 2 or not 0.5 <= confidence < 1 or not 0 < start <= 1 or min(rise, fall) < 1:
            raise UserError(
                f"GatedAlpha takes one_in of at least 2, a confidence from 0.5 to below 1, a start above 0 up to 1, "
                f"rise and fall of at least 1, not {one_in}, {confidence}, {start}, {rise}, {fall}"
            )
        if not 2 <= least <= window:
            raise UserError(f"GatedAlpha takes least from 2 to window, not {least} with a window of {window}")
        self.one_in, self.confidence, self.start = one_in, confidence, start
        self.rise, self.fall, self.least = rise, fall, least
        self.unheard: list[Tensor] = []  # (2, n) who served, and the return, since the last look
        # Buffers, so that checkpoints keep them with the scheme's weights.
        self.register_buffer("returns", torch.full((2, window), torch.nan))  # newest last, NaN where none yet
        self.register_buffer("alpha", torch.tensor(start, dtype=torch.float64))
        self.register_buffer("looked", torch.tensor(0))  # environment steps at the last look

    def alone(self, user: Tensor) -> Tensor:
        """(B,) who serves these users alone: 0 is θ, 1 is φ, all else nobody."""
        return user % self.one_in

    def hear(self, user: Tensor, returns: Tensor) -> None:
        """Keeps the returns (E,) of finished episodes of users (E,), if they are of either group."""
        alone = self.alone(user)
        chosen = alone <= LEARNER
        self.unheard.append(torch.stack([alone[chosen].cpu().float(), returns[chosen.to(returns.device)].cpu()]))

    def local_state(self) -> dict[str, Any]:
        """The returns since the last look."""
        return {"unheard": torch.cat([torch.zeros(2, 0), *self.unheard], dim=1)}

    def load_local_state(self, state: dict[str, Any]) -> None:
        """Looks at them next time."""
        self.unheard = [state["unheard"].cpu()]

    def __call__(self, environment_steps: int) -> float:
        """α, moved by the steps since the last look in the direction that the test gives."""
        steps = environment_steps - int(self.looked)
        if steps > 0:
            self._take()
            self.looked.fill_(environment_steps)
            if self._heard() >= self.least:
                change = steps / self.rise if self.p_value() <= 1 - self.confidence else -steps / self.fall
                self.alpha.add_(change).clamp_(self.start, 1.0)
        return float(self.alpha)

    def p_value(self) -> float:
        """Of "φ's mean return is at most θ's"; 1 as long as a group has too few episodes, or all returns are equal."""
        from scipy.stats import ttest_ind

        if self._heard() < self.least:
            return 1.0
        frozen, learner = (row[~row.isnan()].double().cpu().numpy() for row in self.returns)
        if frozen.std() == 0 == learner.std():
            return 0.0 if learner.mean() > frozen.mean() else 1.0
        return float(ttest_ind(learner, frozen, equal_var=False, alternative="greater").pvalue)

    def figures(self) -> dict[str, float]:
        """The mean return of each group, once it has any, and the test's p."""
        means = {"gate_frozen_return": self.returns[FROZEN], "gate_learner_return": self.returns[LEARNER]}
        known = {name: float(row.nanmean()) for name, row in means.items() if not row.isnan().all()}
        return {**known, "gate_p": self.p_value()}

    def _heard(self) -> int:
        """Episodes in the window of the group that has fewer."""
        return int((~self.returns.isnan()).sum(1).min())

    def _take(self) -> None:
        """Moves the new returns of all processes into the windows."""
        heard = torch.cat([torch.zeros(2, 0), *self.unheard], dim=1)
        self.unheard = []
        if distributed.is_available() and distributed.is_initialized():
            parts = [heard] * distributed.get_world_size()
            distributed.all_gather_object(parts, heard)
            heard = torch.cat(parts, dim=1)
        for group in (FROZEN, LEARNER):
            new = heard[1][heard[0] == group].to(self.returns)
            self.returns[group] = torch.cat([self.returns[group], new])[-self.returns.shape[1] :]
