"""Peak memory of processes, the same on every platform."""

import resource
import sys


def peak_mib(usage: resource.struct_rusage) -> float:
    """Largest resident memory so far, MiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
