"""Pre-training of iALP on the oracle's preferences (Algorithm 1)."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from ialp.data.text import text_embeddings
from ialp.datamodules import OracleDataModule
from ialp.distributed import mean_over_ranks, sum_over_ranks, weight_of_rank, world_size
from ialp.errors import UserError
from ialp.nets import ActorCritic, NetConfig
from ialp.phases.loading import LoadableModule
from ialp.rl.algorithms import A2C, Algorithm
from ialp.rl.exploration import Categorical
from ialp.rl.schemes import Scratch
from ialp.types import Judgement, Transition


class IALPPretrain(LoadableModule):
    """iALP: pre-trains a policy on the preferences of a language model.

    Algorithm 1 of the paper, and where each line stands:

     1  Require: item set I, LLM                                    OracleDataModule(log, oracle)
     2  Initialize replay buffer D_LLM by initial sequences x_1     OracleDataModule.setup
     3  Initialize agent θ: Actor, Critic, state encoder G          setup
     4  for each iteration do                                       an epoch of ExperienceDataset
     5    Obtain initial user sequence x_1                          propose
     6    for step = 1 … T do                                       ExperienceDataset: collect, then minibatches
     7      Generate state s_t by G(x_{1:t})                        propose  (Eq. 4)
     8      Execute Actor[s_t] to produce the action distribution   propose  (Eq. 5)
     9      Sample a list of k actions a_t^k                        propose
    10      Construct prompt p(s_t, a_t^k)                          collect: oracle.judge
    11      Act LLM(p(s_t, a_t^k)) to generate a_t, r_t^p           collect: oracle.judge, store  (Eq. 2, 3)
    12      Store transition (x_{1:t}, a_t, r_t^p, x_{1:t+1})       store
    13      Sample minibatch b from D_LLM                           OracleDataModule.train_dataloader
    14      With b, calculate L_Q and L_A                           training_step  (Eq. 6 to 10)
    15      Update θ                                                configure_optimizers
    18  Return agent θ                                              on_fit_end

    Args:
        algorithm: the update rule.
        net: sizes of the policy's network.
        item_init: initial item embeddings and actor: `tfidf` of the items' text, or `random` (the paper).
        actor_temperature: divides the actor's rows that start from text.
        listwise_weight: weight of the cross-entropy of the pick among the candidates; 0 is the paper.
        lr: learning rate of AdamW.
        weight_decay: decoupled, as in AdamW.
        eps: of AdamW. The gradient of most items is tiny; at 1e-8 Adam would move their vectors as far as those of the
            items that were judged, and blur the text.
    """

    data_class = OracleDataModule

    def __init__(
        self,
        algorithm: Algorithm | None = None,
        net: NetConfig | None = None,
        item_init: Literal["tfidf", "random"] = "tfidf",
        actor_temperature: float = 1.0,
        listwise_weight: float = 0.0,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        self.algorithm, self.net = algorithm or A2C(gamma=0.5), net or NetConfig()
        self.item_init, self.actor_temperature = item_init, actor_temperature
        self.listwise_weight = listwise_weight
        self.optimizer: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "eps": eps}
        self.scheme = Scratch()
        self.latest: dict[str, Tensor | float] = {}  # figures of the latest judgements
        self.counts: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.oracle_state: dict[str, int] = {}

    def check_composition(self, data: Any) -> None:
        """Whether the algorithm can pre-train, on this DataModule.

        Raises:
            UserError: It needs its own actions, or trains no actor; or the data is another phase's.
        """
        self.check_data(data)
        if reason := self.algorithm.refusal(Scratch(), Categorical(), whole_episodes=False):
            raise UserError(reason)
        if not self.algorithm.trains_actor:
            raise UserError(
                f"model.init_args.algorithm: {type(self.algorithm).__name__} trains no actor, which is what "
                f"pre-training hands on: take A2C"
            )

    @override
    def setup(self, stage: str) -> None:
        """Line 3."""
        if hasattr(self.scheme, "learner"):
            return
        self.check_composition(self.data)
        log, data = self.data.log, self.data
        self.build_nets({**log.sizes, "max_length": data.horizon + 2, **vars(self.net)})
        self.scheme.learner.encoder.set_user_features(log.user_features)
        if self.item_init == "tfidf":
            embeddings = text_embeddings(log.catalogue, self.net.dim, seed=torch.initial_seed())
            self.scheme.learner.start_from_text(embeddings, self.actor_temperature)
        self.oracle_state = data.oracle.state_dict()

    @override
    def build_nets(self, sizes: dict[str, Any]) -> None:
        self.scheme.build(None, ActorCritic(**sizes))
        self.algorithm.setup(self.scheme)

    @override
    def net_sizes(self) -> dict[str, Any]:
        return self.scheme.learner.config

    def collect(self) -> None:
        """Lines 5 to 12, for every history."""
        candidates = self.propose()
        history = self.data.histories.history
        self.store(candidates, self.data.oracle.judge(history.items, history.length, candidates))

    @torch.no_grad()
    def propose(self) -> Tensor:
        """Lines 5 to 9: (B, K) candidates a_t^k ~ Sample(Actor[s_t])."""
        histories = self.data.histories
        if histories.over:
            histories.begin()
        log_pi = self.scheme.log_probabilities(histories.history)  # (B, I)
        return self.data.sampler.sample(log_pi, histories.history)

    def store(self, candidates: Tensor, judgement: Judgement) -> None:
        """Lines 11 and 12: the pick among candidates (B, K), or on None a random one, becomes a_t; r_t^p is Eq. 3."""
        data, histories = self.data, self.data.histories
        pick = data.sampler.choose(judgement)  # (B,)
        action = candidates.gather(1, pick.unsqueeze(1)).squeeze(1)  # (B,) a_t
        reward = data.oracle.reward(judgement, pick)  # (B,) r_t^p
        length = histories.length.clone()
        histories.append(action)
        terminated = torch.zeros_like(judgement.accepted)  # only the horizon ends an episode
        truncated = histories.length > histories.horizon
        data.buffer.add(
            Transition(histories.items, length, reward, terminated, truncated, candidates, judgement.choice)
        )
        self.record(judgement, action)

    def record(self, judgement: Judgement, action: Tensor) -> None:
        """Keeps figures of a batch of judgements (B,) for the next training step to log."""
        acceptance = judgement.accepted.float().mean()
        distinct = len(action.unique()) / len(action)
        self.latest = {"acceptance": acceptance, "none_rate": 1 - acceptance, "distinct_items": distinct}
        oracle = self.data.oracle
        self.counts = {"judgements": oracle.asked + oracle.hits, **oracle.backend.counts}
        self.oracle_state = oracle.state_dict()

    @override
    def training_step(self, batch: Transition, batch_idx: int) -> Tensor:
        """Line 14: L = L_A + L_Q (Eq. 10), plus the listwise term."""
        loss, logs = self.algorithm.loss(self.scheme, batch)
        if self.listwise_weight:
            assert batch.candidates is not None and batch.choice is not None
            learner = self.scheme.learner
            logits = learner.actor.gather(learner.state(batch.history), batch.candidates)
            picked = int((batch.choice < logits.shape[1]).sum())
            logs["listwise_loss"] = listwise_loss(logits, batch.choice) * weight_of_rank(picked)
            loss = loss + self.listwise_weight * logs["listwise_loss"]
        counts = {name: float(count) * world_size() for name, count in self.counts.items()}  # summed over all ranks
        logs = mean_over_ranks({**logs, **self.latest, **counts})
        self.log_dict({f"pretrain/{name}": value for name, value in logs.items()}, batch_size=len(batch.length))
        self.log("acceptance", logs["acceptance"], prog_bar=True, logger=False, batch_size=1)
        return loss

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Line 15."""
        return torch.optim.AdamW(self.parameters(), **self.optimizer, fused=True)

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        self.algorithm.on_update(self.scheme, self.trainer.global_step)

    @override
    def on_fit_end(self) -> None:
        """Line 18: writes θ into the run's folder, and adds up what all ranks have asked."""
        oracle = self.data.oracle
        mine = {"asked": oracle.asked, "cache_hits": oracle.hits, **oracle.backend.counts}
        self.asked = {name: int(total) for name, total in zip(mine, sum_over_ranks(*mine.values()), strict=True)}
        self.latest = mean_over_ranks(self.latest)
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir) / "policy"
            self.scheme.learner.save_pretrained(folder, self.data.log.catalogue.fingerprint)
        self.record_run()

    def rank_state_dict(self) -> dict[str, Any]:
        """Counts and latest figures, for `ExperienceDataset`."""
        latest = {name: float(value) for name, value in self.latest.items()}
        return {"oracle": self.oracle_state, "latest": latest, "counts": self.counts}

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `rank_state_dict` gave; what was asked after it is in the cache."""
        self.oracle_state = state["oracle"]
        self.data.oracle.load_state_dict(state["oracle"])
        self.latest, self.counts = dict(state["latest"]), dict(state["counts"])

    @override
    def results(self) -> dict[str, Any]:
        return {
            "judgements": {**self.asked, "model": self.data.oracle.backend.name},
            **{name: float(value) for name, value in self.latest.items()},
        }


def listwise_loss(logits: Tensor, choice: Tensor) -> Tensor:
    """() cross-entropy of the oracle's pick among the K candidates' logits; answers of None take no part.

    Args:
        logits: (B, K) of the actor, at the candidates.
        choice: (B,) index of the pick, K for None.
    """
    picked = choice < logits.shape[1]
    if not picked.any():
        return logits.sum() * 0.0
    return torch.nn.functional.cross_entropy(logits[picked], choice[picked])
