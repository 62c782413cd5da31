"""The simulated world: B users at once, on tensors."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, Step
from ialp.nets.response import ResponseNet
from ialp.rng import stream, uniforms

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
        self._scale = torch.tensor(reward_scale, device=self.device)  # half the time of a product with a number
        self.evaluation = evaluation
        self.num_users = num_users
        self.items = torch.zeros(num_users, horizon + 2, dtype=torch.int64, device=self.device)
        self.length = torch.zeros(num_users, dtype=torch.int64, device=self.device)
        self.done = torch.ones(num_users, dtype=torch.bool, device=self.device)
        self._nobody = torch.zeros_like(self.done)
        self._check_numbers()
        self._head = (torch.arange(horizon + 2, device=self.device) == 0).long()  # 1, 0, 0, …
        for rule in self.exit_rules:
            rule.prepare(self.response)
        self._memory = [rule.start(num_users, self.device) for rule in self.exit_rules]
        self._fresh = [(index, memory) for index, memory in enumerate(self._memory) if memory.numel()]
        self._cache = self.response.init_cache(num_users, horizon + 1)
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

    def reset(self, mask: Tensor | None = None) -> None:
        """The users in `mask` (B,) bool, or all, begin their next episode; the others stay untouched.

        `reset(env.done)` is the quickest way to go on: everybody is then known to be there.
        """
        self._everybody = mask is None or mask is self.done
        if mask is None:
            mask = torch.ones_like(self.done)
        self.episode = self.episode + mask
        column = mask.unsqueeze(1)
        self.items = torch.where(column, self._beginnings.of(self.episode).unsqueeze(1) * self._head, self.items)
        self.length = self.length.masked_fill(mask, 1)
        self.done = self._nobody if self._everybody else self.done > mask
        for index, fresh in self._fresh:
            aligned = column if fresh.dim() == 2 else mask.view(-1, *[1] * (fresh.dim() - 1))
            self._memory[index] = torch.where(aligned, fresh, self._memory[index])

    @torch.no_grad()
    def step(self, actions: Tensor) -> Feedback:
        """Recommend one item to every user whose episode goes on: actions (B,) int64 in 1 … N. A repeat is legal.

        Users whose episode is over take action 0, nothing; their reward is 0 and they neither leave nor are cut again.

        Raises:
            ValueError: An id out of range, an item for a user whose episode is over, a response that is no number, or a
                response net that is in training mode.
        """
        everybody = self._everybody or not self.done.any().item()
        self._check(actions, everybody)
        if self.response.training:
            raise ValueError("the response net was put into training mode, where dropout makes chance of its answers")
        # The users whose episode goes on; None, and nothing is copied, where that is everybody.
        active = None if everybody else (~self.done).nonzero().squeeze(1)
        items, length, action = self.items, self.length, actions
        if active is not None:
            items, length, action = items[active], length[active], action[active]
        response = self.response.respond_step(self._cache, items, length, action, active)  # (A,)
        if math.isnan(response.sum().item()):
            raise ValueError("the response net answers NaN: its weights are broken, train it again")
        left, cut = self._leave(active, Step(items, length, action, response))
        reward, cut = response * self._scale, cut > left
        if active is not None:
            reward, left, cut = (self._of_all(active, each) for each in (reward, left, cut))
        feedback = Feedback(reward, left, cut)
        # Action 0 leaves a final state as it is.
        self.items = self.items.scatter(1, self.length.unsqueeze(1), actions.unsqueeze(1))
        self.length = self.length + (1 if everybody else ~self.done)
        self.done = feedback.done if everybody else self.done | feedback.done
        self._everybody = False  # not known any more
        return feedback

    def _leave(self, active: Tensor | None, step: Step) -> tuple[Tensor, Tensor]:
        """Which of the active users leave, (A,), and which are cut, (A,), by any of the rules."""
        left: Tensor | None = None
        cut: Tensor | None = None
        for index, rule in enumerate(self.exit_rules):
            memory = self._memory[index]
            if active is None:
                self._memory[index], leaves = rule.advance(memory, step)
            else:
                kept, leaves = rule.advance(memory[active], step)
                self._memory[index] = memory.index_copy(0, active, kept)
            if rule.truncates:
                cut = leaves if cut is None else cut | leaves
            else:
                left = leaves if left is None else left | leaves
        assert cut is not None
        return torch.zeros_like(cut) if left is None else left, cut

    def _check_numbers(self) -> None:
        for name, value in self.response.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(f"the response net's {name} holds NaN or infinity: train it again")
        if not math.isfinite(self.reward_scale):
            raise ValueError(f"reward_scale is {self.reward_scale}: it must be a finite number")

    def _of_all(self, active: Tensor, values: Tensor) -> Tensor:
        """(B,) the values (A,) of the active users, 0 for the others."""
        return values.new_zeros(self.num_users).index_copy(0, active, values)

    def _check(self, actions: Tensor, everybody: bool) -> None:
        if actions.shape != self.user.shape or actions.is_floating_point():
            raise ValueError(
                f"actions must be ({self.num_users},) item ids, got {actions.dtype} {tuple(actions.shape)}"
            )
        lowest, highest = torch.aminmax(actions)
        if everybody and lowest.item() >= 1 and highest.item() <= self.num_items:
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
        memory = [memory.clone() for memory in self._memory]
        return {**state, "memory": memory, "cache": self._cache.clone(), "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: A state of another number of users, horizon, set of exit rules or response net.
        """
        if state["items"].shape != self.items.shape or len(state["memory"]) != len(self._memory):
            raise ValueError(
                f"the saved world has items {tuple(state['items'].shape)} and {len(state['memory'])} exit rules, "
                f"this one {tuple(self.items.shape)} and {len(self._memory)}: resume with the same users and horizon"
            )
        if state["cache"].shape != self._cache.shape:
            raise ValueError("the saved world has users of another response net: resume with the same reward model")
        for name in ("items", "length", "user", "episode", "done"):
            setattr(self, name, state[name].to(self.device).clone())
        self._everybody = False
        self._begin_by(state["seed"])
        self._memory = [memory.to(self.device).clone() for memory in state["memory"]]
        self._cache = state["cache"].to(self.device).clone()


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
        self._drawn = first_items[user % len(first_items)]  # of users without a seed; else (B · AHEAD,)
        self._row = torch.arange(0, len(user) * AHEAD, AHEAD, device=user.device)
        self._since = torch.full_like(user, -AHEAD)  # (B,) the episode at the user's row of `_drawn`
        self._calls = 0  # so many are served for certain: a call moves an episode by one at most

    def of(self, episode: Tensor) -> Tensor:
        """(B,) first items of the users' episodes (B,), each that of the call before or the next."""
        if self.seed is None:
            return self._drawn
        if not self._calls:
            furthest = int((episode - self._since).max())
            if furthest >= AHEAD:
                self._draw(episode)
                furthest = 0
            self._calls = AHEAD - furthest
        self._calls -= 1
        return self._drawn.index_select(0, episode + self._place)

    def _draw(self, episode: Tensor) -> None:
        assert self.seed is not None
        self._since, self._place = episode, self._row - episode
        ahead = (episode.unsqueeze(1) + torch.arange(AHEAD, device=episode.device)).flatten()
        user = self.user.repeat_interleave(AHEAD)
        chance = uniforms(self.seed, user, ahead, torch.zeros_like(user)).double().squeeze(1)
        self._drawn = self.first_items[(chance * len(self.first_items)).long()]
