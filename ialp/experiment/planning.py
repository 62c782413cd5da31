"""Plans a run for verbs other than `fit`."""

from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from ialp.experiment.stages import Stage
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
        verb, *arguments = args
        self.name_run(verb, arguments)

    def _set_seed(self) -> None:
        """Nothing: nothing is drawn."""

    def instantiate_classes(self) -> None:
        """Nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""
