"""RewardModel: the simulated users, learnt from the log."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn.functional import logsigmoid
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from ialp.data.log import UNIFORM_NEGATIVES
from ialp.envs import ExitRule, World
from ialp.envs.calibration import Calibration, calibrate
from ialp.envs.references import Figures, references
from ialp.nets.response import ResponseNet, SequentialResponse

logger = logging.getLogger(__name__)

HIT_AT = 10
POPULARITY_LIMIT = 0.45  # of greedy's return: above it fame is all there is to learn, and methods cannot be told apart


class RewardModel(LightningModule):
    """Learns p = P(click | history, item) with one binary loss on true next items and negatives, then calibrates it.

    One net, trained on the training sequences, answers in both worlds; the worlds differ in the first items of their
    episodes. When the fit ends, the best checkpoint is calibrated, the reference policies are played in the test world,
    and `world/` and `references.json` are written to the run's folder.

    Args:
        net: The response net.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
        target_reward: Average reward that the uniformly random policy shall get in the test world.
        exit_rules: When users leave, besides after `horizon` steps; patience alone if none are named.
        horizon: Longest episode, in steps.
        reward_scale: Reward of a certain click.
        test_users: The reference policies meet so many test users at most.
    """

    def __init__(
        self,
        net: Callable[[int], ResponseNet] = SequentialResponse,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        target_reward: float = 0.4,
        exit_rules: list[ExitRule] | None = None,
        horizon: int = 20,
        reward_scale: float = 5.0,
        test_users: int = 500,
    ) -> None:
        super().__init__()
        self.make_net = net
        self.net: ResponseNet
        self.lr = lr
        self.weight_decay = weight_decay
        self.target_reward = target_reward
        self.make_world = partial(World, exit_rules=exit_rules, horizon=horizon, reward_scale=reward_scale)
        self.test_users = test_users
        self.metrics = MetricCollection(
            {
                "val_loss": MeanMetric(),
                "val_auc": BinaryAUROC(),
                "val_hit_rate": MulticlassAccuracy(UNIFORM_NEGATIVES + 1, top_k=HIT_AT, average="micro"),
            },
            compute_groups=False,  # each is fed differently
        )
        self._results: dict[str, Any] = {}

    def configure_model(self) -> None:
        """Builds the net, as wide as the log's catalogue, and the world in which it answers."""
        if not hasattr(self, "net"):
            self.net = self.make_net(self.trainer.datamodule.num_items)  # type: ignore[attr-defined]
            self.world = self.make_world(self.net)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on everything."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Binary loss on items (B, T) and candidates (B, T, K), the true next item first, 0 where there is none."""
        loss = binary_loss(*self._logits(*batch))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_index: int) -> None:
        """Loss on the test sequences, and AUC and hit rate of their next items against uniform negatives."""
        self._meet(batch)
        self.log_dict(dict(self.metrics.items()), prog_bar=True)

    def _logits(self, items: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and candidates (M, K) of the M items that something follows: most windows are largely padding."""
        followed = candidates[..., 0] > 0
        return self.net.score(self.net.states(items)[followed], candidates[followed]), candidates[followed]

    def _meet(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        items, drawn, uniform = batch
        logits, candidates = self._logits(items, drawn)
        self.metrics["val_loss"].update(binary_loss(logits, candidates), len(logits))
        logits, candidates = self._logits(items, uniform)
        target = torch.zeros_like(candidates)
        target[:, 0] = 1
        valid = candidates > 0
        self.metrics["val_auc"].update(logits[valid], target[valid])
        self.metrics["val_hit_rate"].update(logits.masked_fill(~valid, -torch.inf), torch.zeros_like(target[:, 0]))

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Calibrates the best checkpoint, plays the reference policies, saves the world."""
        self._restore_best()
        self.net.eval()
        log = self.trainer.datamodule.log  # type: ignore[attr-defined]
        first_items = log.test.first_items()[: self.test_users]
        calibration = calibrate(self.world, first_items, self.target_reward)
        announce(calibration)
        measured = references(self.world.env(first_items, len(first_items), evaluation=True), log)
        warn_of_popularity(measured)
        self._results = {**self._scores(), "calibration": asdict(calibration), "references": measured}
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir)
            self.world.save(folder / "world", log.catalogue.fingerprint)
            (folder / "references.json").write_text(json.dumps(measured, indent=2) + "\n")

    def _restore_best(self) -> None:
        """The fit ends with the last epoch's weights; the world takes the best epoch's, where one was kept."""
        callback = self.trainer.checkpoint_callback
        if path := getattr(callback, "best_model_path", ""):
            self.load_state_dict(torch.load(path, map_location=self.device, weights_only=True)["state_dict"])

    def _scores(self) -> dict[str, float]:
        """AUC and hit rate of the restored weights."""
        self.metrics.reset()
        for batch in self.trainer.datamodule.val_dataloader():  # type: ignore[attr-defined]
            self._meet(tuple(part.to(self.device) for part in batch))
        scores = {name: float(value) for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        return scores

    def results(self) -> dict[str, Any]:
        """Scores of the net, its calibration and the reference policies' figures."""
        return self._results


def binary_loss(logits: Tensor, candidates: Tensor) -> Tensor:
    """Binary cross-entropy, in nats: the first of the K candidates is a click, the others are none, 0 does not count.

    The mean over clicks plus the mean over negatives, halved: with as much weight on either side, the logit of an item
    that follows as often as its popularity says is 0, and so is that of an item about which nothing is known.

    Args:
        logits: (M, K).
        candidates: (M, K).
    """
    click = -logsigmoid(logits[:, 0])
    no_click = -logsigmoid(-logits[:, 1:])[candidates[:, 1:] > 0]
    return (click.mean() + no_click.mean()) / 2


def announce(calibration: Calibration) -> None:
    """Prints what the calibration has reached, and warns where that is not enough."""
    found = f"average reward {calibration.average_reward:.3f}, length {calibration.length:.2f}"
    print(f"calibration: intercept {calibration.intercept:+.3f}, the uniformly random policy gets {found}")
    if not calibration.in_range:
        logger.warning("the calibrated random policy (%s) is outside 0.3–0.5 and 5.0–5.5", found)


def warn_of_popularity(measured: dict[str, Figures]) -> None:
    """Warns where showing what is popular comes close to one-step greedy."""
    share = measured["popularity"]["return"] / measured["greedy"]["return"]
    if share > POPULARITY_LIMIT:
        logger.warning("the popularity policy gets %.0f %% of greedy's return: taste hardly counts here", 100 * share)
