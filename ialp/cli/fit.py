"""`ialp fit`: the stage that a config describes, and first whatever it builds on."""

from ialp.experiment.processes import end_with_parent


def run(arguments: list[str]) -> int:
    """Run `ialp fit`."""
    end_with_parent()
    from ialp.experiment.training import fit  # takes seconds

    fit(arguments)
    return 0
