"""The simulated world: B users at once, on tensors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, Step
from ialp.nets.response import ResponseNet
from ialp.rl.chance import stream, uniforms


class Feedback(NamedTuple):
    """What B users answer.

    Attributes:
        reward: (B,) reward_scale · p.
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
        response: p = P(click | history, item); put into eval mode, never trained here.
        first_items: (S,) items that episodes may begin with.
        num_users: B.
        exit_rules: Who leaves when; a user who leaves by several rules at once is terminated rather than truncated.
        horizon: Longest episode; one more exit rule, `MaxSteps(horizon)`.
        reward_scale: Reward of a certain click.
        seed: Of the first items.
        evaluation: User u always begins with first_items[u % S]: the same test users for every method.
        first_user: Number of the first user, where several processes share the users.

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
        self.first_item_seed = stream(seed, "first item")
        self.evaluation = evaluation
        self.num_users = num_users
        self.user = torch.arange(first_user, first_user + num_users, device=self.device)
        self.episode = torch.full_like(self.user, -1)
        self.items = torch.zeros(num_users, horizon + 2, dtype=torch.int64, device=self.device)
        self.length = torch.zeros_like(self.user)
        self.done = torch.ones(num_users, dtype=torch.bool, device=self.device)
        self._memory = [rule.start(num_users, self.device) for rule in self.exit_rules]
        self.reset()

    @property
    def num_items(self) -> int:
        """N, without the padding id."""
        return self.response.num_items

    @torch.no_grad()
    def reset(self, mask: Tensor | None = None) -> None:
        """The users in `mask` (B,) bool, or all, begin their next episode; the others stay untouched."""
        rows = torch.arange(self.num_users, device=self.device) if mask is None else mask.nonzero().squeeze(1)
        if not len(rows):
            return
        self.episode = self.episode.index_put((rows,), self.episode[rows] + 1)
        self.items = self.items.index_fill(0, rows, 0)
        self.items[rows, 0] = self._begin_with(self.user[rows], self.episode[rows])
        self.length = self.length.index_fill(0, rows, 1)
        self.done = self.done.index_fill(0, rows, False)
        self._memory = [
            memory.index_copy(0, rows, rule.start(len(rows), self.device))
            for rule, memory in zip(self.exit_rules, self._memory, strict=True)
        ]

    def _begin_with(self, user: Tensor, episode: Tensor) -> Tensor:
        """First items of the given users' (A,) given episodes (A,)."""
        if self.evaluation:
            return self.first_items[user % len(self.first_items)]
        chance = uniforms(self.first_item_seed, user, episode, torch.zeros_like(user))[:, 0]
        return self.first_items[(chance.double() * len(self.first_items)).long()]

    @torch.no_grad()
    def step(self, actions: Tensor) -> Feedback:
        """Recommend one item to every user whose episode goes on: actions (B,) int64 in 1 … N. A repeat is legal.

        Users whose episode is over take action 0, nothing; their reward is 0 and they neither leave nor are cut again.

        Raises:
            ValueError: An id out of range, an item for a user whose episode is over, or a response that is no number.
        """
        self._check(actions)
        active = (~self.done).nonzero().squeeze(1)  # (A,)
        items, length, action = self.items[active], self.length[active], actions[active]
        probability = self.response.of(items, length, action).sigmoid()  # (A,)
        if probability.isnan().any():
            raise ValueError("the response net answers NaN: its weights are broken, train it again")
        terminated, truncated = self._leave(active, Step(items, length, action, probability))
        self.items = self.items.index_put((active, length), action)
        self.length = self.length.index_put((active,), length + 1)
        self.done = self.done | terminated | truncated
        reward = torch.zeros_like(self.done, dtype=probability.dtype).index_copy(0, active, probability)
        return Feedback(self.reward_scale * reward, terminated, truncated & ~terminated)

    def _leave(self, active: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Which users leave, (B,), and which are cut, (B,), by any of the rules."""
        terminated, truncated = torch.zeros_like(self.done), torch.zeros_like(self.done)
        for index, rule in enumerate(self.exit_rules):
            memory, leaves = rule.advance(self._memory[index][active], step)
            self._memory[index] = self._memory[index].index_copy(0, active, memory)
            (truncated if rule.truncates else terminated)[active] |= leaves
        return terminated, truncated

    def _check(self, actions: Tensor) -> None:
        if actions.shape != self.user.shape or actions.is_floating_point():
            raise ValueError(
                f"actions must be ({self.num_users},) item ids, got {actions.dtype} {tuple(actions.shape)}"
            )
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
        return {**state, "memory": [memory.clone() for memory in self._memory]}

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
        self._memory = [memory.to(self.device).clone() for memory in state["memory"]]
