"""Plans runs for commands other than `fit`."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from ialp.experiment.messages import data_line
from ialp.experiment.stages import Stage, plan
from ialp.experiment.training import IALPCLI, command_line


class Planner(IALPCLI):
    """Works out runs of `ialp fit` and builds nothing; what they share is parsed once."""

    @classmethod
    def make(cls) -> "Planner":
        """A planner, before its first run."""
        return command_line(cls, [])

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self._named: set[str] = set()
        self.config = Namespace(seed_everything=False)  # nothing is drawn

    @override
    def instantiate_classes(self) -> None:
        pass

    def plan(self, arguments: Sequence[str], seed: int | None = None) -> Stage:
        """The run with these arguments of `ialp fit`, in a seed that replaces the config's; each data is named once."""
        stage = plan(self.parse, self.keys(), list(arguments), seed=seed)
        if (line := data_line(stage)) not in self._named:
            self._named.add(line)
            print(line, flush=True)
        return stage
