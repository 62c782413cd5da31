"""`ialp validate`: a finished run on its validation data."""

from ialp.cli import fit


def run(arguments: list[str]) -> int:
    """Run `ialp validate`."""
    return fit.run(arguments, "validate")
