"""RewardModel: the simulated users, learnt from the log."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ialp.envs import ExitRule, World
from ialp.envs.degeneracy import degeneracy_warnings
from ialp.envs.references import references
from ialp.nets.response import ResponseNet, SequentialResponse
from ialp.phases.loading import LoadableModule
from ialp.phases.objectives import Clicks, Objective
from ialp.recorded import description, rebuild

logger = logging.getLogger(__name__)


class RewardModel(LoadableModule):
    """Learns how users respond, p = P(click | history, item) or a rating, then calibrates it.

    One net answers in both worlds; the worlds differ in the first items, or users, of their episodes. When the fit
    ends, the best checkpoint is calibrated, the reference policies are played in the test world, and `world/` and
    `references.json` are written to the run's folder.

    Args:
        net: The response net.
        objective: What it learns from, and what is calibrated: `Clicks` or `Ratings`.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
        exit_rules: When users leave, besides after `horizon` steps; if none are named, patience or, where ratings are
            learnt, too much of the same.
        horizon: Longest episode, in steps.
        reward_scale: Reward of a certain click, or of a rating of 1.
        test_users: The reference policies meet so many test users; fewer play several episodes each.
    """

    def __init__(
        self,
        net: Callable[[int], ResponseNet] = SequentialResponse,
        objective: Objective | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        exit_rules: list[ExitRule] | None = None,
        horizon: int = 20,
        reward_scale: float = 5.0,
        test_users: int = 500,
    ) -> None:
        super().__init__()
        self.make_net = net
        self.net: ResponseNet
        self.objective = objective or Clicks()
        self.lr = lr
        self.weight_decay = weight_decay
        self.exit_rules, self.horizon, self.reward_scale = exit_rules, horizon, reward_scale
        self.test_users = test_users
        self.metrics = self.objective.metrics()
        self._results: dict[str, Any] = {}

    def configure_model(self) -> None:
        """Builds the net, as wide as the log's catalogue, and the world in which it answers."""
        if not hasattr(self, "net"):
            self._take(self.objective.make_net(self.make_net, self.trainer.datamodule.log))  # type: ignore[attr-defined]

    @override
    def net_sizes(self) -> dict[str, Any]:
        return {"net": description(self.net)}

    @override
    def build_nets(self, sizes: dict[str, Any]) -> None:
        self._take(rebuild(sizes["net"], ResponseNet))  # type: ignore[type-abstract]

    def _take(self, net: ResponseNet) -> None:
        self.net = net
        rules = self.objective.exit_rules() if self.exit_rules is None else self.exit_rules
        self.world = World(net, rules, self.horizon, self.reward_scale)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on everything."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def training_step(self, batch: tuple[Tensor, ...], batch_index: int) -> Tensor:
        """The objective's loss."""
        loss = self.objective.loss(self.net, batch)
        self.log("train_loss", loss, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], batch_index: int) -> None:
        """The objective's measures."""
        self.objective.update_metrics(self.net, self.metrics, batch)
        self.log_dict(dict(self.metrics.items()), prog_bar=True)

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Calibrates the best checkpoint, plays the reference policies, saves the world."""
        self._restore_best()
        self.net.eval()
        found = self._calibrate() if self.trainer.is_global_zero else {}
        self._results = {**self._scores(), **found}  # all ranks have a share in the scores
        self.record_run()

    def _calibrate(self) -> dict[str, Any]:
        """Calibrates and saves the world; its calibration and the reference policies' figures."""
        log = self.trainer.datamodule.log  # type: ignore[attr-defined]
        first_items = log.test.first_items()[: self.test_users]
        calibrated = self.objective.calibrate(self.world, log, first_items)
        rounds = math.ceil(self.test_users / len(first_items))  # few users play several episodes each
        measured = references(self.world.env(first_items, rounds * len(first_items), evaluation=True), log)
        for said in degeneracy_warnings(measured):
            logger.warning(said)
        folder = Path(self.trainer.default_root_dir)
        self.world.save(folder / "world", log.catalogue.fingerprint)
        (folder / "references.json").write_text(json.dumps(measured, indent=2) + "\n")
        return {**calibrated, "references": measured}

    def _restore_best(self) -> None:
        """The fit ends with the last epoch's weights; the world takes the best epoch's, where one was kept."""
        callback = self.trainer.checkpoint_callback
        if path := getattr(callback, "best_model_path", ""):
            self.load_state_dict(
                self.trainer.strategy.checkpoint_io.load_checkpoint(path, map_location=self.device)["state_dict"]
            )

    def _scores(self) -> dict[str, float]:
        """The measures of the restored weights."""
        self.metrics.reset()
        for batch in self.trainer.datamodule.val_dataloader():  # type: ignore[attr-defined]
            self.objective.update_metrics(self.net, self.metrics, tuple(part.to(self.device) for part in batch))
        scores = {name: float(value) for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        return scores

    def results(self) -> dict[str, Any]:
        """Scores of the net, its calibration and the reference policies' figures."""
        return self._results
