"""Plans a run for commands other than `fit`."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from ialp.experiment.messages import data_line, planning
from ialp.experiment.stages import Stage, plan
from ialp.experiment.training import IALPCLI, command_line


def plan_fit(arguments: list[str]) -> Stage:
    """The run that `ialp fit` with these arguments would make; the data is named, nothing is built.

    Raises:
        UserError: What the user can mend.
    """
    return command_line(Planner, "fit", arguments).stage


class Planner(IALPCLI):
    """Works out a run and stops there."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Plan the run and name the data."""
        command, *arguments = args
        self.plan_run(command, arguments)
        self.config = Namespace(seed_everything=False)  # nothing is drawn

    def instantiate_classes(self) -> None:
        """Nothing."""


class ManyPlanner(Planner):
    """Works out many runs of `ialp fit`; what they share is parsed once."""

    @classmethod
    def make(cls) -> "ManyPlanner":
        """A planner, before its first run."""
        planner = command_line(cls, "fit", [])
        assert isinstance(planner, cls)
        return planner

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Nothing yet; each data is named once."""
        self._named: set[str] = set()
        self.config = Namespace(seed_everything=False)

    def plan(self, arguments: Sequence[str], seed: int | None) -> Stage:
        """The run with these arguments.

        Args:
            arguments: Of `ialp fit`.
            seed: Its seed; None, or a config with `fixed_seed`: the config's own.

        Raises:
            UserError: What the user can mend.
        """
        with planning():
            stage = plan(self.parse, self.keys(), list(arguments), seed=seed)
            if (line := data_line(stage)) not in self._named:
                self._named.add(line)
                print(line, flush=True)
        return stage
