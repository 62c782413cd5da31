"""Pre-training of iALP on the oracle's preferences (Algorithm 1)."""

from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningModule
from torch import Tensor

from ialp.data.text import text_embeddings
from ialp.distributed import mean_over_ranks, sum_over_ranks, weight_of_rank, world_size
from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl.algorithms import A2C, Algorithm
from ialp.rl.exploration import Categorical
from ialp.rl.schemes import Scratch
from ialp.rl.support import FullSoftmax, Support
from ialp.types import Judgement, Transition


def listwise_loss(logits: Tensor, choice: Tensor) -> Tensor:
    """Cross-entropy of the oracle's pick among the K candidates' logits; answers of None take no part.

    Args:
        logits: (B, K) of the actor, at the candidates.
        choice: (B,) index of the pick, K for None.
    """
    picked = choice < logits.shape[1]
    if not picked.any():
        return logits.sum() * 0.0
    return torch.nn.functional.cross_entropy(logits[picked], choice[picked])


class IALPPretrain(LightningModule):
    """Line 14 and 15 of Algorithm 1: the update; the rollout is `OracleRollout`.

    Args:
        algorithm: the update rule.
        dim: width of states and embeddings.
        layers: transformer blocks of the encoder.
        heads: attention heads.
        dropout: in the encoder.
        item_init: what item embeddings and actor start from: `tfidf` of the items' text, or `random` (the paper).
        actor_temperature: divides the actor's rows that start from text.
        listwise_weight: weight of the cross-entropy of the pick among the candidates; 0 is the paper.
        lr: learning rate of Adam.
        weight_decay: decoupled, as in AdamW.
        eps: of Adam. The gradient of most items is tiny; at 1e-8 Adam would move their vectors as far as those of the
            items that the judge spoke of, and blur the text.
        support: which items an update runs over; null: all of them. Candidates are drawn from all in any case.
    """

    def __init__(
        self,
        algorithm: Algorithm | None = None,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.0,
        item_init: Literal["tfidf", "random"] = "tfidf",
        actor_temperature: float = 1.0,
        listwise_weight: float = 1.0,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        eps: float = 1e-5,
        support: Support | None = None,
    ) -> None:
        super().__init__()
        self.algorithm = algorithm or A2C()
        self.net: dict[str, Any] = {"dim": dim, "layers": layers, "heads": heads, "dropout": dropout}
        self.item_init, self.actor_temperature = item_init, actor_temperature
        self.listwise_weight, self.support = listwise_weight, support or FullSoftmax()
        self.optimizer: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "eps": eps}
        self.latest: dict[str, Tensor | float] = {}
        self.counts: dict[str, int] = {}
        self.asked: dict[str, int] = {}

    def setup(self, stage: str) -> None:
        """Builds the policy once the catalogue is known."""
        if hasattr(self, "scheme"):
            return
        self.check_composition()
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        policy = ActorCritic(**data.log.sizes, max_length=data.horizon + 2, **self.net)
        policy.encoder.set_user_features(data.log.user_features)
        if self.item_init == "tfidf":
            embeddings = text_embeddings(data.log.catalogue, self.net["dim"], seed=torch.initial_seed())
            policy.start_from_text(embeddings, self.actor_temperature)
        self.scheme = Scratch()
        self.scheme.support = self.support
        self.scheme.build(None, policy)
        self.algorithm.prepare(self.scheme)

    def check_composition(self, data: Any = None) -> None:
        """Whether the algorithm can pre-train.

        Raises:
            UserError: It needs its own actions, or trains no actor.
        """
        if reason := self.algorithm.refusal(Scratch(), Categorical(), whole_episodes=False):
            raise UserError(reason)
        if not self.algorithm.trains_actor:
            raise UserError(
                f"model.init_args.algorithm: {type(self.algorithm).__name__} trains no actor, which is what "
                f"pre-training hands on: take A2C"
            )

    @torch.no_grad()
    def propose(self, items: Tensor, length: Tensor) -> Tensor:
        """The log π(·|s), (B, I), that candidates are drawn from."""
        return self.scheme.log_probabilities(items, length)

    def record(self, judgement: Judgement, action: Tensor) -> None:
        """Keeps what a batch of judgements (B,) tells, for the next training step to log."""
        acceptance = judgement.accepted.float().mean()
        distinct = len(action.unique()) / len(action)
        self.latest = {"acceptance": acceptance, "none_rate": 1 - acceptance, "distinct_items": distinct}
        # Counted here, while no thread asks the judge: later the count would depend on its pace.
        self.counts = {"judgements": self._oracle.asked + self._oracle.hits, **self._oracle.backend.counts}

    def on_train_batch_start(self, *_: Any) -> None:
        """Says which update's chance it is."""
        self.support.begin(torch.initial_seed() + self.trainer.global_rank, self.trainer.global_step)

    def on_train_batch_end(self, *_: Any) -> None:
        """Lets the algorithm follow."""
        self.algorithm.updated(self.scheme, self.trainer.global_step)

    def training_step(self, batch: Transition, batch_idx: int) -> Tensor:
        """L = L_A + L_Q (Eq. 10) + listwise term."""
        loss, logs = self.algorithm.loss(self.scheme, batch)
        if self.listwise_weight:
            assert batch.candidates is not None and batch.choice is not None
            learner = self.scheme.learner
            logits = learner.actor.gather(learner.state(batch.items, batch.length), batch.candidates)
            picked = int((batch.choice < logits.shape[1]).sum())
            logs["listwise_loss"] = listwise_loss(logits, batch.choice) * weight_of_rank(picked)
            loss = loss + self.listwise_weight * logs["listwise_loss"]
        # A sum over all ranks, once averaged.
        counts = {name: float(count) * world_size() for name, count in self.counts.items()}
        logs = mean_over_ranks({**logs, **self.latest, **counts})
        self.log_dict({f"pretrain/{name}": value for name, value in logs.items()}, batch_size=len(batch.length))
        self.log("acceptance", logs["acceptance"], prog_bar=True, logger=False, batch_size=1)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on everything."""
        return torch.optim.AdamW(self.parameters(), **self.optimizer, fused=True)

    def on_fit_end(self) -> None:
        """Adds up what all ranks have asked, and writes θ where the next stage looks for it."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        data.finish_asking()
        mine = {"asked": data.oracle.asked, "cache_hits": data.oracle.hits, **data.oracle.backend.counts}
        self.asked = {name: int(total) for name, total in zip(mine, sum_over_ranks(*mine.values()), strict=True)}
        self.latest = mean_over_ranks(self.latest)
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir) / "policy"
            self.scheme.learner.save_pretrained(folder, data.log.catalogue.fingerprint)

    @property
    def _oracle(self) -> Any:
        return self.trainer.datamodule.oracle  # type: ignore[attr-defined]

    def results(self) -> dict[str, Any]:
        """What done.json says of the run."""
        return {
            "judgements": {**self.asked, "model": self._oracle.backend.name},
            **{name: float(value) for name, value in self.latest.items()},
        }
