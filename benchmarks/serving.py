"""Milliseconds of an exported policy for one history and for a batch, on a number of threads.

    ialp export --ckpt RUN --format onnx --out policy.onnx
    python benchmarks/serving.py policy.pt2 policy.onnx --threads 1

Each FILE is one that `ialp export` wrote, with FILE.json beside it. Histories are random and as long as the policy
reads. The middle of many calls is printed, and the slowest but one in a hundred.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor


def opened(path: Path, threads: int) -> Callable[[Tensor, Tensor], object]:
    """The policy in a file."""
    if path.suffix == ".pt2":
        return torch.inference_mode()(torch.export.load(path).module())
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda items, length: session.run(None, {"items": items.numpy(), "length": length.numpy()})


def milliseconds(call: Callable[[], object], calls: int) -> list[float]:
    """Of each call, after ten that warm up; in order of size."""
    for _ in range(10):
        call()
    taken = []
    for _ in range(calls):
        start = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - start))
    return sorted(taken)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="files that `ialp export` wrote")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64], help="histories per call (default: 1 64)")
    parser.add_argument("--calls", type=int, default=200, help="per batch size (default: 200)")
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for path in given.files:
        card = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
        longest, num_items = card["max_length"], card["items"]
        size = f"{path.stat().st_size / 2**20:.1f} MiB, {num_items:,} items, {given.threads} thread(s)"
        policy = opened(path, given.threads)
        for batch in given.batches:
            items, length = torch.randint(1, num_items + 1, (batch, longest)), torch.full((batch,), longest)
            taken = milliseconds(partial(policy, items, length), given.calls)
            print(
                f"{path}, {size}, {batch} at once, histories of {longest}: {median(taken):.2f} ms of processor time, "
                f"99 % of calls within {taken[int(0.99 * len(taken))]:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
