"""Online adaptation (Algorithm 2)."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from typing_extensions import override

from ialp.datamodules import ReplayDataModule
from ialp.distributed import mean_over_ranks
from ialp.errors import UserError
from ialp.nets import ActorCritic, NetConfig
from ialp.phases.evaluation import Evaluation
from ialp.phases.loading import LoadableModule
from ialp.phases.tracking import EpisodeTracker
from ialp.rl.algorithms import A2C, Algorithm
from ialp.rl.exploration import UNIFORMS, Categorical, Exploration
from ialp.rl.schemes import Scheme, save_scheme
from ialp.rng import stream, uniforms
from ialp.types import History, Transition


class OnlineAdapt(LoadableModule):
    """A-iALP: adapts a pre-trained policy to the feedback of users.

    Algorithm 2 of the paper, and where each line stands:

     1  Require: iALP θ, learnable agent φ, scheme, weight α         scheme, pretrained
     2  Initialize empty online replay buffer D_online               ReplayDataModule.setup
     3  Initialize parameters of the agent φ with θ                  setup: scheme.build
     4  for each iteration do                                        an epoch of ExperienceDataset
     5    Obtain initial state s_0 from environment                  collect: env.reset
     6    for step = 1 … T do                                        ExperienceDataset: collect, then minibatches
     7      if scheme is A-iALP_ft then
     8        Act a_t ~ π_φ(·|s_t)                                   collect: scheme.act of FineTune
     9      else if scheme is A-iALP_ap then
    10        Act a_t ~ (1 − α)·π_θ(·|s_t) + α·π_φ(·|s_t)            collect: scheme.act of PolicySet  (Eq. 14)
    12      Obtain r_t, s_{t+1} from environment                     collect: env.step
    13      Store transition (s_t, a_t, r_t, s_{t+1}) in D_online    collect: buffer.add
    14      Sample minibatch b from D_online                         ReplayDataModule.train_dataloader
    15      With b, calculate L_Q and L_A                            training_step  (Eq. 12, 13, 15)
    16      Update φ                                                 configure_optimizers

    Args:
        scheme: which policy acts and which one learns.
        algorithm: the update rule.
        exploration: how actions are drawn while learning.
        pretrained: folder of a finished pretrain run, θ; null for schemes that start from nothing.
        pretrained_temperature: divides the logits of θ. Pre-training leaves a policy whose best item is good and whose
            draws are not, since thousands of items share the probability; below 1 users are shown more of the best.
        net: sizes of the network of a policy that starts from nothing; a pre-trained one brings its own.
        repeats: whether items already shown in an episode may be shown again.
        lr: learning rate of Adam.
        lr_actor: learning rate of the actor head; null for `lr`.
        evaluation: what is measured, and when.
    """

    data_class: type = ReplayDataModule
    whole_episodes = False  # whether minibatches are the episodes just played, rather than replayed transitions

    def __init__(
        self,
        scheme: Scheme,
        algorithm: Algorithm | None = None,
        exploration: Exploration | None = None,
        pretrained: str | None = None,
        pretrained_temperature: float = 1.0,
        net: NetConfig | None = None,
        repeats: bool = False,
        lr: float = 1e-3,
        lr_actor: float | None = None,
        evaluation: Evaluation | None = None,
    ) -> None:
        super().__init__()
        if pretrained_temperature <= 0:
            raise UserError(f"model.init_args.pretrained_temperature is {pretrained_temperature}: it must be above 0")
        self.scheme, self.algorithm = scheme, algorithm or A2C()
        self.exploration, self.evaluation = exploration or Categorical(), evaluation or Evaluation()
        self.pretrained, self.pretrained_temperature = pretrained, pretrained_temperature
        self.net, self.lr, self.lr_actor = net or NetConfig(), lr, lr_actor
        self.scheme.repeats = repeats
        self.environment_steps = 0
        self.episodes: EpisodeTracker

    @property
    def trains(self) -> bool:
        """False for schemes that are only evaluated."""
        return self.scheme.trains

    def check_composition(self, data: Any) -> None:
        """Whether algorithm, scheme, exploration and DataModule fit together.

        Raises:
            UserError: They do not; it says why, and which keys to change.
        """
        self.check_data(data)
        reason = self.algorithm.refusal(self.scheme, self.exploration, self.whole_episodes)
        if self.trains and (reason := reason or self.scheme.refusal(self.exploration)):
            raise UserError(reason)

    @override
    def setup(self, stage: str) -> None:
        """Line 3."""
        self.check_composition(self.data)
        data, built = self.data, hasattr(self.scheme, "learner")
        if not built:
            theta = self.load_pretrained() if self.scheme.needs_pretrained else None
            fresh = {**data.log.sizes, "max_length": data.env.items.shape[1], **vars(self.net)}
            self.scheme.build(theta, ActorCritic(**(theta.config if theta else fresh)))
            self.algorithm.setup(self.scheme)
        self.scheme.learner.encoder.set_user_features(data.log.user_features)
        if stage == "fit" and not built:
            self.scheme.setup(data.log, torch.initial_seed(), self.trainer.global_rank, self.trainer.world_size)
        self.episodes = EpisodeTracker(data.env.num_users)

    def load_pretrained(self) -> ActorCritic:
        """θ, as the pretrain run left it, at `pretrained_temperature`.

        Raises:
            UserError: No such run, or one of another catalogue or of shorter histories.
        """
        if self.pretrained is None:
            scheme = type(self.scheme).__name__
            raise UserError(f"model.init_args.pretrained is not set, but {scheme} starts from a pre-trained policy")
        theta = ActorCritic.from_pretrained(self.pretrained, self.data.log.catalogue.fingerprint)
        reads, needed = theta.config["max_length"], self.data.env.items.shape[1]
        if reads < needed:
            raise UserError(
                f"{self.pretrained}: reads {reads} items, an episode has {needed}: pre-train a longer horizon"
            )
        theta.divide_logits(self.pretrained_temperature)
        return theta

    @torch.no_grad()
    def collect(self) -> None:
        """Lines 5 to 13: every user is shown an item and answers, and the transitions are stored."""
        env, seed = self.data.env, stream(torch.initial_seed(), "exploration")
        history = History(env.items, env.length.clone(), user=env.user)  # s_t
        uniform = uniforms(seed, env.user, env.episode, env.length, UNIFORMS)
        action = self.scheme.act(history, self.exploration, uniform)  # (B,) a_t
        feedback = env.step(action)  # r_t, s_{t+1}
        reward = feedback.reward * self.data.reward_scale
        self.data.buffer.add(Transition(env.items, history.length, reward, feedback.terminated, feedback.truncated))
        self.environment_steps += env.num_users * self.trainer.world_size  # all ranks have as many
        done = feedback.terminated | feedback.truncated
        returns = self.episodes.step(feedback.reward, (env.length - 1).float(), done)
        self.scheme.on_episode_end(env.user[done], returns)
        env.reset(done)

    @override
    def on_train_batch_start(self, *_: Any) -> None:
        logs = self.scheme.on_environment_steps(self.environment_steps)  # moves α
        self.log_dict({f"train/{name}": value for name, value in logs.items()}, batch_size=1)

    @override
    def training_step(self, batch: Transition, batch_idx: int) -> Tensor:
        """Line 15: the losses of φ on a minibatch."""
        loss, logs = self.algorithm.loss(self.scheme, batch)
        weight = self.weight_of(batch)
        figures = mean_over_ranks({name: value * weight for name, value in logs.items()})
        figures |= {"environment_steps": torch.tensor(float(self.environment_steps)), **self.episodes.means()}
        self.log_dict({f"train/{name}": value for name, value in figures.items()}, batch_size=len(batch.length))
        return loss * weight

    def weight_of(self, batch: Transition) -> float:
        """Weight of this rank's minibatch beside those of the others; replayed ones are all of one size."""
        return 1.0

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Line 16: one Adam over what learns; the actor head may have a rate of its own."""
        learner = self.scheme.learner
        others = [*learner.encoder.parameters(), *learner.critic.parameters()]
        actor: dict[str, Any] = {"params": list(learner.actor.parameters()), "lr": self.lr_actor or self.lr}
        return torch.optim.Adam([{"params": others}, actor], lr=self.lr, fused=True)

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        self.algorithm.on_update(self.scheme, self.trainer.global_step)

    @override
    def configure_callbacks(self) -> list[Callback]:
        return [self.exploration, self.evaluation]

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing: `Evaluation` plays the test users when the epoch ends."""

    test_step = validation_step

    @override
    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """(B, 10) ids of the most probable next items for histories (B, T) of length (B,), best first."""
        return self.scheme.probabilities(History(*batch)).topk(10).indices

    @override
    def on_validation_end(self) -> None:
        if self.trainer.state.fn == TrainerFn.VALIDATING and not self.trains:
            self.on_fit_end()  # a scheme that is only evaluated is never fitted, but read back like the others

    @override
    def on_fit_end(self) -> None:
        """Writes the policies of π̂ into the run's folder."""
        if self.trainer.is_global_zero:
            save_scheme(self.scheme, Path(self.trainer.default_root_dir), self.data.log.catalogue.fingerprint)
        self.record_run()

    @override
    def upstream(self) -> dict[str, str]:
        runs = {"reward_model": self.data.reward_model, "pretrained": self.pretrained}
        return {name: folder for name, folder in runs.items() if folder}

    @override
    def results(self) -> dict[str, Any]:
        each = self.evaluation.seconds / self.environment_steps if self.environment_steps else None
        counts = {"environment_steps": self.environment_steps, "seconds_per_step": each}
        return {"evaluation": self.evaluation.results(), **counts, **self.scheme.results()}

    def rank_state_dict(self) -> dict[str, Any]:
        """State of episodes, scheme and exploration on this rank, for `ExperienceDataset`."""
        scheme, exploration = self.scheme.rank_state_dict(), self.exploration.state_dict()
        return {"episodes": self.episodes.state_dict(), "scheme": scheme, "exploration": exploration}

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `rank_state_dict` gave."""
        self.episodes.load_state_dict(state["episodes"])
        self.scheme.load_rank_state_dict(state["scheme"])
        self.exploration.load_state_dict(state["exploration"])

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["environment_steps"] = self.environment_steps

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.environment_steps = checkpoint["environment_steps"]

    @override
    def net_sizes(self) -> dict[str, Any]:
        return self.scheme.learner.config

    @override
    def build_nets(self, sizes: dict[str, Any]) -> None:
        self.scheme.build(ActorCritic(**sizes) if self.scheme.needs_pretrained else None, ActorCritic(**sizes))
        self.algorithm.setup(self.scheme)
