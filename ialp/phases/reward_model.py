"""RewardModel: learns the simulated users from the log."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ialp.envs import ExitRule, World
from ialp.envs.references import references
from ialp.nets.response import ResponseNet, SequentialResponse
from ialp.phases.loading import LoadableModule
from ialp.phases.objectives import Clicks, Objective
from ialp.recorded import description, rebuild


class RewardModel(LoadableModule):
    """Trains the simulated users of online learning, then calibrates them (paper, section 4.2.1).

    Their rewards are p = P(click | history, item) (`SequentialResponse` with `Clicks`; LFM and Industry) or a rating
    (`DeepFM` with `Ratings`; Coat). The paper gives no equation for loss, exit or scale: docs/deviations.md.

    At the end of the fit the best checkpoint is calibrated, the reference policies are played in the test world, and
    `world/` and `references.json` are written to `trainer.default_root_dir`. `World.load` reads the calibrated users;
    checkpoints hold the net before its calibration.

    Args:
        net: The response net; null: `SequentialResponse`.
        objective: Loss, metrics and calibration: `Clicks` or `Ratings`.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
        exit_rules: When users leave, besides after `horizon` steps; null for the objective's, which are patience for
            `Clicks` and too similar items for `Ratings`.
        horizon: Longest episode, in steps.
        reward_scale: Reward of a certain click, or of a rating of 1.
        test_users: Number of test users that the reference policies play; fewer play several episodes each.
    """

    def __init__(
        self,
        net: Callable[[int], ResponseNet] | None = None,
        objective: Objective | None = None,
        lr: float = 3e-3,
        weight_decay: float = 0.0,
        exit_rules: list[ExitRule] | None = None,
        horizon: int = 20,
        reward_scale: float = 5.0,
        test_users: int = 500,
    ) -> None:
        super().__init__()
        self.make_net = net or SequentialResponse
        self.net: ResponseNet
        self.objective = objective or Clicks()
        self.lr, self.weight_decay = lr, weight_decay
        self.exit_rules, self.horizon, self.reward_scale = exit_rules, horizon, reward_scale
        self.test_users = test_users
        self.metrics = self.objective.metrics()
        self._results: dict[str, Any] = {}

    @override
    def configure_model(self) -> None:
        if not hasattr(self, "net"):
            self._set_net(self.objective.make_net(self.make_net, self._data.log))

    @override
    def net_sizes(self) -> dict[str, Any]:
        return {"net": description(self.net)}

    @override
    def build_nets(self, sizes: dict[str, Any]) -> None:
        self._set_net(rebuild(sizes["net"], ResponseNet))  # type: ignore[type-abstract]

    def _set_net(self, net: ResponseNet) -> None:
        self.net = net
        rules = self.objective.exit_rules() if self.exit_rules is None else self.exit_rules
        self.world = World(net, rules, self.horizon, self.reward_scale)

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    @override
    def training_step(self, batch: tuple[Tensor, ...], batch_index: int) -> Tensor:
        loss = self.objective.loss(self.net, batch)
        self.log("train_loss", loss, sync_dist=True)
        return loss

    @override
    def validation_step(self, batch: tuple[Tensor, ...], batch_index: int) -> None:
        self.objective.update_metrics(self.net, self.metrics, batch)
        self.log_dict(dict(self.metrics.items()), prog_bar=True)

    @torch.no_grad()
    @override
    def on_fit_end(self) -> None:
        self.restore_best()
        self.net.eval()
        calibrated = self._calibrate() if self.trainer.is_global_zero else {}
        self._results = {**self._validate(), **calibrated}  # all ranks take part in the metrics
        self.record_run()

    def _calibrate(self) -> dict[str, Any]:
        """Calibrates the world, plays the reference policies, writes both; returns the figures."""
        log = self._data.log
        first_items = log.test.first_items()[: self.test_users]
        calibrated = self.objective.calibrate(self.world, log, first_items)
        rounds = math.ceil(self.test_users / len(first_items))
        measured = references(self.world.env(first_items, rounds * len(first_items), evaluation=True), log)
        folder = Path(self.trainer.default_root_dir)
        self.world.save(folder / "world", log.catalogue.fingerprint)
        (folder / "references.json").write_text(json.dumps(measured, indent=2) + "\n")
        return {**calibrated, "references": measured}

    def _validate(self) -> dict[str, float]:
        """The metrics of the restored weights."""
        self.metrics.reset()
        for batch in self._data.val_dataloader():
            self.objective.update_metrics(self.net, self.metrics, tuple(part.to(self.device) for part in batch))
        scores = {name: float(value) for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        return scores

    def results(self) -> dict[str, Any]:
        """Metrics, calibration and the reference policies' figures, for done.json."""
        return self._results

    @property
    def _data(self) -> Any:
        return self.trainer.datamodule  # type: ignore[attr-defined]
