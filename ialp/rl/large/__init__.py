"""Extensions for catalogues of more than about 100,000 items, whose tensors (B, I) cost too much.

`SampledSoftmax` learns from a sample of the items; the `Blockwise…` schemes act exactly, a block of items at a time.
"""

from ialp.rl.large.blockwise import (
    BlockwiseFineTune,
    BlockwiseFrozen,
    BlockwisePolicySet,
    BlockwiseSavedPolicy,
    BlockwiseScratch,
)
from ialp.rl.large.sampled_softmax import SampledSoftmax

__all__ = [
    "BlockwiseFineTune",
    "BlockwiseFrozen",
    "BlockwisePolicySet",
    "BlockwiseSavedPolicy",
    "BlockwiseScratch",
    "SampledSoftmax",
]
