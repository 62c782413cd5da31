"""`ialp test`: a finished run on its test data."""

from ialp.cli import fit


def run(arguments: list[str]) -> int:
    """Run `ialp test`."""
    return fit.run(arguments, "test")
