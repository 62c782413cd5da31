"""The simulated world: B users at once, on tensors."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, Step
from ialp.nets.response import ResponseNet
from ialp.rl.chance import stream, uniforms

AHEAD = 64  # episodes per user whose first items are drawn at a time


class Feedback(NamedTuple):
    """What B users answer.

    Attributes:
        reward: (B,) reward_scale · response.
        terminated: (B,) bool, the user left.
        truncated: (B,) bool, the episode was cut; never together with `terminated`.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor

    @property
    def done(self) -> Tensor:
        """(B,) bool, the episode is over, either way."""
        return self.terminated | self.truncated


class BatchEnv:
    """B simulated users who respond to one recommended item per step and leave when they have had enough.

    An episode's history is a first item of the log and what was recommended since, liked or not. Everything that a user
    does depends on (seed, user, episode) and the recommendations alone, so B users at once behave as each would alone.
    When an episode is over its final state stays until `reset`.

    Args:
        response: p = P(click | history, item), or a rating; put into eval mode, never trained here.
        first_items: (S,) items that episodes may begin with.
        num_users: B.
        exit_rules: Who leaves when; a user who leaves by several rules at once is terminated rather than truncated.
        horizon: Longest episode; one more exit rule, `MaxSteps(horizon)`.
        reward_scale: Reward of a certain click, or of a rating of 1.
        seed: Of the first items.
        evaluation: User u always begins with first_items[u % S]: the same test users for every method.
        first_user: Number of the first user, where several processes share the users.

    Raises:
        ValueError: Weights or a reward scale that are no numbers.

    Attributes:
        items: (B, horizon + 2) int64 history, right-padded with 0.
        length: (B,) items in it.
        user: (B,) number of the user.
        episode: (B,) number of the user's episode, from 0.
        done: (B,) bool, the episode is over.
    """

    def __init__(
        self,
        response: ResponseNet,
        first_items: Tensor,
        num_users: int,
        exit_rules: Sequence[ExitRule] | None = None,
        horizon: int = 20,
        reward_scale: float = 5.0,
        seed: int = 0,
        evaluation: bool = False,
        first_user: int = 0,
    ) -> None:
        self.response = response.eval()
        self.device = response.intercept.device
        self.first_items = first_items.to(self.device)
        self.exit_rules = [*([PatienceExit()] if exit_rules is None else exit_rules), MaxSteps(horizon)]
        self.horizon = horizon
        self.reward_scale = reward_scale
        self.evaluation = evaluation
        self.num_users = num_users
        self.items = torch.zeros(num_users, horizon + 2, dtype=torch.int64, device=self.device)
        self.length = torch.zeros(num_users, dtype=torch.int64, device=self.device)
        self.done = torch.ones(num_users, dtype=torch.bool, device=self.device)
        self._check_numbers()
        for rule in self.exit_rules:
            rule.prepare(self.response)
        self._fresh = [rule.start(num_users, self.device) for rule in self.exit_rules]
        self._memory = list(self._fresh)
        self.restart(seed, first_user)

    @property
    def num_items(self) -> int:
        """N, without the padding id."""
        return self.response.num_items

    def restart(self, seed: int, first_user: int = 0) -> None:
        """All users, numbered from `first_user`, begin their first episode, as in a new world of this seed."""
        self.user = torch.arange(first_user, first_user + self.num_users, device=self.device)
        self.episode = torch.full_like(self.user, -1)
        self._begin_by(seed)
        self.reset()

    def _begin_by(self, seed: int) -> None:
        self.seed = seed
        self._beginnings = Beginnings(self.first_items, self.user, None if self.evaluation else seed)

    @torch.no_grad()
    def reset(self, mask: Tensor | None = None) -> None:
        """The users in `mask` (B,) bool, or all, begin their next episode; the others stay untouched."""
        if mask is None:
            mask = torch.ones_like(self.done)
        self.episode = self.episode + mask
        first = self._beginnings.of(self.episode)
        self.items = self.items * ~mask.unsqueeze(1)
        self.items[:, 0] += mask * first
        self.length = torch.where(mask, 1, self.length)
        self.done = self.done & ~mask
        self._memory = [
            torch.where(mask.view(-1, *[1] * (fresh.dim() - 1)), fresh, memory)
            for fresh, memory in zip(self._fresh, self._memory, strict=True)
        ]

    @torch.no_grad()
    def step(self, actions: Tensor) -> Feedback:
        """Recommend one item to every user whose episode goes on: actions (B,) int64 in 1 … N. A repeat is legal.

        Users whose episode is over take action 0, nothing; their reward is 0 and they neither leave nor are cut again.

        Raises:
            ValueError: An id out of range, an item for a user whose episode is over, a response that is no number, or a
                response net that is in training mode.
        """
        self._check(actions)
        if self.response.training:
            raise ValueError("the response net was put into training mode, where dropout makes chance of its answers")
        # The users whose episode goes on; None, and nothing is copied, where that is everybody.
        active = (~self.done).nonzero().squeeze(1) if self.done.any() else None
        items, length, action = (_rows(each, active) for each in (self.items, self.length, actions))
        response = self.response.link(self.response.of(items, length, action))  # (A,)
        if response.isnan().any():
            raise ValueError("the response net answers NaN: its weights are broken, train it again")
        left, cut = self._leave(active, Step(items, length, action, response))
        nobody = torch.zeros_like(self.done)
        terminated, truncated = _put(nobody, active, left), _put(nobody, active, cut & ~left)
        # Action 0 leaves a final state as it is.
        self.items = self.items.clone().scatter_(1, self.length.unsqueeze(1), actions.unsqueeze(1))
        self.length = self.length + ~self.done
        self.done = self.done | terminated | truncated
        reward = _put(torch.zeros_like(self.done, dtype=response.dtype), active, response)
        return Feedback(self.reward_scale * reward, terminated, truncated)

    def _leave(self, active: Tensor | None, step: Step) -> tuple[Tensor, Tensor]:
        """Which of the active users leave, (A,), and which are cut, (A,), by any of the rules."""
        left = cut = torch.zeros_like(step.action, dtype=torch.bool)
        for index, rule in enumerate(self.exit_rules):
            memory, leaves = rule.advance(_rows(self._memory[index], active), step)
            self._memory[index] = _put(self._memory[index], active, memory)
            left, cut = (left, cut | leaves) if rule.truncates else (left | leaves, cut)
        return left, cut

    def _check_numbers(self) -> None:
        for name, value in self.response.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(f"the response net's {name} holds NaN or infinity: train it again")
        if not math.isfinite(self.reward_scale):
            raise ValueError(f"reward_scale is {self.reward_scale}: it must be a finite number")

    def _check(self, actions: Tensor) -> None:
        if actions.shape != self.user.shape or actions.is_floating_point():
            raise ValueError(
                f"actions must be ({self.num_users},) item ids, got {actions.dtype} {tuple(actions.shape)}"
            )
        lowest, highest = torch.aminmax(actions)
        if lowest >= 1 and highest <= self.num_items and not self.done.any():
            return
        if (gone := self.done & (actions != 0)).any():
            users = self.user[gone].tolist()
            raise ValueError(
                f"the episode of user {users[0]} is over ({len(users)} such users): reset it, or give it 0"
            )
        if (bad := ~self.done & ((actions < 1) | (actions > self.num_items))).any():
            raise ValueError(f"action {int(actions[bad][0])} is no item: ids go from 1 to {self.num_items}")

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, beside the constructor's arguments."""
        state = {name: getattr(self, name).clone() for name in ("items", "length", "user", "episode", "done")}
        return {**state, "memory": [memory.clone() for memory in self._memory], "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: A state of another number of users, horizon or set of exit rules.
        """
        if state["items"].shape != self.items.shape or len(state["memory"]) != len(self._memory):
            raise ValueError(
                f"the saved world has items {tuple(state['items'].shape)} and {len(state['memory'])} exit rules, "
                f"this one {tuple(self.items.shape)} and {len(self._memory)}: resume with the same users and horizon"
            )
        for name in ("items", "length", "user", "episode", "done"):
            setattr(self, name, state[name].to(self.device).clone())
        self._begin_by(state.get("seed", self.seed))
        self._memory = [memory.to(self.device).clone() for memory in state["memory"]]


class Beginnings:
    """First items of the users' episodes, drawn many episodes ahead: a hash per step would cost more than the step.

    Args:
        first_items: (S,) items that episodes may begin with.
        user: (B,) numbers of the users.
        seed: Of the draws; None for users u who always begin with first_items[u % S].
    """

    def __init__(self, first_items: Tensor, user: Tensor, seed: int | None) -> None:
        self.first_items, self.user = first_items, user
        self.seed = None if seed is None else stream(seed, "first item")
        self._drawn: Tensor | None = None
        self._since: Tensor

    def of(self, episode: Tensor) -> Tensor:
        """(B,) first items of the users' episodes (B,)."""
        if self.seed is None:
            return self.first_items[self.user % len(self.first_items)]
        if self._drawn is None or not self._holds(episode):
            self._draw(episode)
        assert self._drawn is not None
        return self._drawn.gather(1, (episode - self._since).unsqueeze(1)).squeeze(1)

    def _holds(self, episode: Tensor) -> bool:
        lowest, highest = torch.aminmax(episode - self._since)
        return bool(lowest >= 0) and bool(highest < AHEAD)

    def _draw(self, episode: Tensor) -> None:
        assert self.seed is not None
        self._since = episode.clone()
        ahead = (episode.unsqueeze(1) + torch.arange(AHEAD, device=episode.device)).flatten()
        user = self.user.repeat_interleave(AHEAD)
        chance = uniforms(self.seed, user, ahead, torch.zeros_like(user)).double()
        self._drawn = self.first_items[(chance * len(self.first_items)).long()].view(-1, AHEAD)


def _rows(values: Tensor, rows: Tensor | None) -> Tensor:
    return values if rows is None else values[rows]


def _put(into: Tensor, rows: Tensor | None, values: Tensor) -> Tensor:
    return values if rows is None else into.index_copy(0, rows, values)
