"""What an allocation that failed looks like."""

import torch

MESSAGES = ("out of memory", "not enough memory", "can't allocate memory")  # of GPUs, and of a CPU's allocators


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at a time might have worked."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in MESSAGES)
