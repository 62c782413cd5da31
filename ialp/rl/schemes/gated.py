"""A policy set whose α schedule is gated by a one-sided Welch t-test on episode returns."""

from typing import Any, Literal

import torch
from torch import Tensor, distributed
from typing_extensions import override

from ialp.errors import UserError
from ialp.masking import masked_log_softmax
from ialp.rl.schedules import ConstantAlpha
from ialp.rl.schemes.policy_set import PolicySet
from ialp.types import History

FROZEN, LEARNER = 0, 1  # which policy serves a group of users; rows of the windows


class GatedPolicySet(PolicySet):
    """A `PolicySet` whose α rises only while φ's users fare at least as well as θ's, and falls otherwise.

    Of every `one_in` users the first (number % one_in = 0) is served by θ alone and the second by φ alone, in all their
    episodes while learning; the others by the mixture. The groups' shares are exact, over all processes. Evaluation is
    that of the mixture. All transitions are learnt from with log π̂ of the mixture: those of the two groups are
    off-policy for π̂, as replayed ones are.

    The gate is open where "φ's mean return is at most θ's" is rejected with p ≤ 1 − confidence, by Welch's one-sided t
    on the latest `window` finished episodes of each group. The test is made before every batch and the windows overlap,
    so over a whole run the gate also opens by mistake, until the evidence is gone. Where φ equals θ it stays closed
    most of the time.

    Args:
        one_in: so many users have one of θ's and one of φ's among them.
        confidence: of the test, 0.5 … 1; at 0.5 the larger mean decides.
        start: α at the first step, and the least it falls to; above 0, or φ's actor would not learn.
        rise: environment steps with an open gate in which α would rise from 0 to 1.
        fall: environment steps with a closed gate in which α would fall from 1 to 0.
        window: latest episodes of each group that are compared.
        least: episodes that each group must have for α to move at all.
        learner_start: initial weights of φ, as in `PolicySet`.
    """

    samples_policy = False
    returns: Tensor
    gated_alpha: Tensor
    tested_at: Tensor

    def __init__(
        self,
        one_in: int = 10,
        confidence: float = 0.9,
        start: float = 0.1,
        rise: int = 25_000,
        fall: int = 10_000,
        window: int = 100,
        least: int = 20,
        learner_start: Literal["new_actor", "random", "pretrained"] = "pretrained",
    ) -> None:
        if one_in < 2 or not 0.5 <= confidence < 1 or not 0 < start <= 1 or min(rise, fall) < 1:
            raise UserError(
                f"GatedPolicySet takes one_in of at least 2, a confidence from 0.5 to below 1, a start above 0 up to "
                f"1, rise and fall of at least 1, not {one_in}, {confidence}, {start}, {rise}, {fall}"
            )
        if not 2 <= least <= window:
            raise UserError(f"GatedPolicySet takes least from 2 to window, not {least} with a window of {window}")
        super().__init__(ConstantAlpha(start), learner_start)
        self.one_in, self.confidence, self.start = one_in, confidence, start
        self.rise, self.fall, self.least = rise, fall, least
        self.untested: list[Tensor] = []  # (2, n) group and return of the episodes since the last test
        # Buffers, so that checkpoints keep them with the weights.
        self.register_buffer("returns", torch.full((2, window), torch.nan))  # newest last, NaN where none yet
        self.register_buffer("gated_alpha", torch.tensor(start, dtype=torch.float64))
        self.register_buffer("tested_at", torch.tensor(0))  # environment steps at the last test

    def group(self, user: Tensor) -> Tensor:
        """(B,) which policy serves these users (B,) alone: 0 is θ, 1 is φ; all others meet the mixture."""
        return user % self.one_in

    @override
    def behaviour(self, pi: Tensor, mask: Tensor, history: History) -> Tensor:
        assert history.user is not None
        group, pi = self.group(history.user), pi.clone()
        for number, policy in ((FROZEN, self.theta), (LEARNER, self.learner)):
            rows = (group == number).nonzero().squeeze(1)
            if len(rows):
                logits = policy.logits(policy.state(history.select(rows)))
                pi[rows] = masked_log_softmax(logits, mask[rows]).exp()
        return pi

    @override
    def on_episode_end(self, user: Tensor, returns: Tensor) -> None:
        group = self.group(user)
        chosen = group <= LEARNER
        self.untested.append(torch.stack([group[chosen].cpu().float(), returns[chosen.to(returns.device)].cpu()]))

    @override
    def on_environment_steps(self, environment_steps: int) -> dict[str, float]:
        steps = environment_steps - int(self.tested_at)
        if steps > 0:
            self._gather_returns()
            self.tested_at.fill_(environment_steps)
            if self._fewest_episodes() >= self.least:
                change = steps / self.rise if self.p_value() <= 1 - self.confidence else -steps / self.fall
                self.gated_alpha.add_(change).clamp_(self.start, 1.0)
        self.alpha.fill_(float(self.gated_alpha))
        return {"alpha": float(self.alpha), **self.figures()}

    def p_value(self) -> float:
        """Of "φ's mean return is at most θ's"; 1 as long as a group has too few episodes, or all returns are equal."""
        from scipy.stats import ttest_ind

        if self._fewest_episodes() < self.least:
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

    @override
    def rank_state_dict(self) -> dict[str, Any]:
        return {"untested": torch.cat([torch.zeros(2, 0), *self.untested], dim=1)}

    @override
    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        self.untested = [state["untested"].cpu()]

    def _fewest_episodes(self) -> int:
        """Episodes in the window of the group that has fewer."""
        return int((~self.returns.isnan()).sum(1).min())

    def _gather_returns(self) -> None:
        """Moves the new returns of all processes into the windows."""
        new = torch.cat([torch.zeros(2, 0), *self.untested], dim=1)
        self.untested = []
        if distributed.is_available() and distributed.is_initialized():
            gathered = [new] * distributed.get_world_size()
            distributed.all_gather_object(gathered, new)
            new = torch.cat(gathered, dim=1)
        for group in (FROZEN, LEARNER):
            returns = new[1][new[0] == group].to(self.returns)
            self.returns[group] = torch.cat([self.returns[group], returns])[-self.returns.shape[1] :]
