"""`ialp fit`: the stage that a config describes, and first whatever it builds on."""

from ialp.experiment.processes import end_with_parent


def run(arguments: list[str], command: str = "fit") -> int:
    """Run `ialp fit`, or another command of Lightning's Trainer."""
    end_with_parent()
    from ialp.experiment import training  # takes seconds

    training.run(command, arguments)
    return 0
