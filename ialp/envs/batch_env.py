"""BatchEnv: B simulated users at once, on tensors."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, Step
from ialp.nets.response import ResponseNet
from ialp.rng import stream, uniforms

SAVED = ("items", "length", "user", "episode", "done")
AHEAD = 64  # episodes per user whose first items are drawn at a time


class Feedback(NamedTuple):
    """The responses of B users to one recommendation each, (B,) of each; never terminated and truncated at once."""

    reward: Tensor
    terminated: Tensor
    truncated: Tensor

    @property
    def done(self) -> Tensor:
        """(B,) bool, terminated or truncated."""
        return self.terminated | self.truncated


class BatchEnv:
    """B simulated users, each recommended one item per step until the user leaves or the horizon is reached.

    An episode's history is a first item of the log and what was recommended since, liked or not. A user's behaviour
    depends on (seed, user, episode) and the recommendations alone, so B users at once behave as each would alone. The
    final state of an episode stays until `reset`.

    Args:
        response: p = P(click | history, item), or a rating; put into eval mode, never trained here.
        first_items: (S,) items that episodes may begin with.
        num_users: B.
        exit_rules: When users leave; `terminated` wins where several rules apply at once. None: `PatienceExit`.
        horizon: Longest episode; one more exit rule, `MaxSteps(horizon)`.
        reward_scale: Reward of a certain click, or of a rating of 1.
        seed: Of the first items.
        evaluation: User u always begins with first_items[u % S]: the same test users for every method.
        first_user: Number of the first user, where several processes share the users.

    Raises:
        ValueError: NaN or infinite weights.

    Attributes:
        items: (B, horizon + 2) int64 history, right-padded with 0.
        length: (B,) items in it.
        user: (B,) number of the user.
        episode: (B,) number of the user's episode, from 0.
        done: (B,) bool, the episode is over.
        latest: The latest step of those A whose episode went on, and (A,) bool of every exit rule: whose it ended.
    """

    latest: tuple[Step, list[Tensor]]

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
        self.horizon, self.reward_scale, self.evaluation, self.num_users = horizon, reward_scale, evaluation, num_users
        self._scale = torch.tensor(reward_scale, device=self.device)  # half the time of a product with a number
        self.items = torch.zeros(num_users, horizon + 2, dtype=torch.int64, device=self.device)
        self.length = torch.zeros(num_users, dtype=torch.int64, device=self.device)
        self.done = torch.ones(num_users, dtype=torch.bool, device=self.device)
        self._all_false = torch.zeros_like(self.done)
        for name, value in response.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(f"the response net's {name} holds NaN or infinity: train it again")
        self._first_column = (torch.arange(horizon + 2, device=self.device) == 0).long()  # 1, 0, 0, …
        for rule in self.exit_rules:
            rule.prepare(self.response)
        self._leaving = [index for index, rule in enumerate(self.exit_rules) if not rule.truncates]
        self._truncating = [index for index, rule in enumerate(self.exit_rules) if rule.truncates]
        self._rule_states = [rule.start(num_users, self.device) for rule in self.exit_rules]
        self._initial_states = [(index, state) for index, state in enumerate(self._rule_states) if state.numel()]
        self._cache = self.response.init_cache(num_users, horizon + 1)
        self.restart(seed, first_user)

    @property
    def num_items(self) -> int:
        """N, without the padding id."""
        return self.response.num_items

    def restart(self, seed: int, first_user: int = 0) -> None:
        """All users, numbered from `first_user`, begin their first episode."""
        self.user = torch.arange(first_user, first_user + self.num_users, device=self.device)
        self.episode = torch.full_like(self.user, -1)
        self._set_seed(seed)
        self.reset()

    def _set_seed(self, seed: int) -> None:
        self.seed = seed
        self._first = FirstItems(self.first_items, self.user, None if self.evaluation else seed)

    def reset(self, mask: Tensor | None = None) -> None:
        """The users in `mask` (B,) bool, or all, begin their next episode; `reset(env.done)` is the quickest."""
        self._all_active = mask is None or mask is self.done
        if mask is None:
            mask = torch.ones_like(self.done)
        self.episode = self.episode + mask
        column = mask.unsqueeze(1)
        self.items = torch.where(column, self._first.at(self.episode).unsqueeze(1) * self._first_column, self.items)
        self.length = self.length.masked_fill(mask, 1)
        self.done = self._all_false if self._all_active else self.done > mask
        for index, initial in self._initial_states:
            aligned = column if initial.dim() == 2 else mask.view(-1, *[1] * (initial.dim() - 1))
            self._rule_states[index] = torch.where(aligned, initial, self._rule_states[index])

    @torch.no_grad()
    def step(self, actions: Tensor) -> Feedback:
        """Recommends one item to every user whose episode goes on: actions (B,) int64 in 1 … N. A repeat is legal.

        Users whose episode is over take action 0; their reward is 0, and they are neither terminated nor truncated.

        Raises:
            ValueError: An id out of range, an item for a user whose episode is over, a NaN response, or a response net
                in training mode.
        """
        all_active = self._all_active or not self.done.any().item()
        self._check(actions, all_active)
        if self.response.training:
            raise ValueError("the response net is in training mode, where dropout makes its responses random")
        # The users whose episode goes on; None, and nothing is copied, where those are all.
        active = None if all_active else (~self.done).nonzero().squeeze(1)
        items, length, action = self.items, self.length, actions
        if active is not None:
            items, length, action = items[active], length[active], action[active]
        if len(action):
            response = self.response.respond_step(self._cache, items, length, action, active)  # (A,)
        else:
            response = self.response.intercept.new_zeros(0)
        if math.isnan(response.sum().item()):
            raise ValueError("the response net returns NaN: its weights are broken, train it again")
        step = Step(items, length, action, response)
        ends = self._apply_exit_rules(active, step)
        self.latest = step, ends
        left, cut = _any(ends, self._leaving), _any(ends, self._truncating)
        reward, cut = response * self._scale, cut > left
        if active is not None:  # 0 for the others
            reward, left, cut = (
                each.new_zeros(self.num_users).index_copy(0, active, each) for each in (reward, left, cut)
            )
        feedback = Feedback(reward, left, cut)
        # Action 0 is the padding, so a final state stays as it is.
        self.items = self.items.scatter(1, self.length.unsqueeze(1), actions.unsqueeze(1))
        self.length = self.length + (1 if all_active else ~self.done)
        self.done = feedback.done if all_active else self.done | feedback.done
        self._all_active = False  # until `reset` or the next step's look at `done`
        return feedback

    def _apply_exit_rules(self, active: Tensor | None, step: Step) -> list[Tensor]:
        """(A,) bool of every rule: for which of the active users it ends the episode."""
        ends = []
        for index, rule in enumerate(self.exit_rules):
            state = self._rule_states[index]
            if active is None:
                self._rule_states[index], ended = rule.advance(state, step)
            else:
                advanced, ended = rule.advance(state[active], step)
                self._rule_states[index] = state.index_copy(0, active, advanced)
            ends.append(ended)
        return ends

    def _check(self, actions: Tensor, all_active: bool) -> None:
        if actions.shape != self.user.shape or actions.is_floating_point():
            raise ValueError(
                f"actions must be ({self.num_users},) item ids, got {actions.dtype} {tuple(actions.shape)}"
            )
        lowest, highest = torch.aminmax(actions)
        if all_active and lowest.item() >= 1 and highest.item() <= self.num_items:
            return
        if (gone := self.done & (actions != 0)).any():
            users = self.user[gone].tolist()
            raise ValueError(
                f"the episode of user {users[0]} is over ({len(users)} such users): reset it, or give it 0"
            )
        if (bad := ~self.done & ((actions < 1) | (actions > self.num_items))).any():
            raise ValueError(f"action {int(actions[bad][0])} is no item: ids go from 1 to {self.num_items}")

    def state_dict(self) -> dict[str, Any]:
        """What the next steps depend on besides the constructor's arguments."""
        state = {name: getattr(self, name).clone() for name in SAVED}
        rules = [each.clone() for each in self._rule_states]
        return {**state, "rules": rules, "cache": self._cache.clone(), "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned, for as many users of the same world.

        Raises:
            ValueError: A state of other users.
        """
        same = state["items"].shape == self.items.shape and state["cache"].shape == self._cache.shape
        if not same or len(state["rules"]) != len(self._rule_states):
            raise ValueError("the saved users are others: resume with as many users of the same reward model")
        for name in SAVED:
            setattr(self, name, state[name].to(self.device).clone())
        self._all_active = False
        self._set_seed(state["seed"])
        self._rule_states = [each.to(self.device).clone() for each in state["rules"]]
        self._cache = state["cache"].to(self.device).clone()


def _any(ends: list[Tensor], rules: list[int]) -> Tensor:
    """(A,) bool: one of these rules ends the episode."""
    return reduce(torch.logical_or, [ends[rule] for rule in rules]) if rules else torch.zeros_like(ends[0])


class FirstItems:
    """First items (B,) of the users' episodes, drawn many episodes ahead: a hash at each reset costs more than a step.

    Without a seed, user u always begins with first_items[u % S].
    """

    def __init__(self, first_items: Tensor, user: Tensor, seed: int | None) -> None:
        self.first_items, self.user = first_items, user
        self.seed = None if seed is None else stream(seed, "first item")
        self._drawn = first_items[user % len(first_items)]  # (B,) without a seed; else (B · AHEAD,)
        self._row = torch.arange(0, len(user) * AHEAD, AHEAD, device=user.device)
        self._since = torch.full_like(user, -AHEAD)  # (B,) the episode at the user's row of `_drawn`
        self._calls = 0  # that `_drawn` certainly suffices for: between calls an episode grows by one at most

    def at(self, episode: Tensor) -> Tensor:
        """(B,) first items of the users' episodes (B,), each the episode of the call before or the next one."""
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
        uniform = uniforms(self.seed, user, ahead, torch.zeros_like(user)).double().squeeze(1)
        self._drawn = self.first_items[(uniform * len(self.first_items)).long()]
