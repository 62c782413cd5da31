"""Asking one step ahead: a judge that is asked by a thread of its own, so that who asks can go on meanwhile."""

import threading
from concurrent.futures import Future, wait

import torch
from torch import Tensor

from ialp.oracle.oracle import Oracle
from ialp.types import Judgement

WAKE_EVERY = 0.2  # seconds: a wait without a limit may be deaf to Ctrl-C
PATIENCE = 10.0  # seconds that an interrupted judge has to end what it is at


class AskedAhead:
    """One question at a time: `ask` returns at once, `answer` waits for the judgement.

    What the judge raises comes out of `answer`; what it answered before that is in the cache. The thread is a daemon: a
    judge that never answers does not keep the program from ending, as the threads of an executor would.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._future: Future[Judgement] | None = None

    @property
    def asking(self) -> bool:
        """Whether a question waits for `answer`."""
        return self._future is not None

    def ask(self, history: Tensor, length: Tensor, candidates: Tensor) -> None:
        """Begin what `Oracle.judge` does; the tensors must stay as they are until `answer`."""
        assert self._future is None, "one question at a time"
        self.oracle.backend.interrupted = False
        self._future = future = Future[Judgement]()
        threads = torch.get_num_threads()
        cuda = torch.cuda.current_device() if torch.cuda.is_initialized() else -1  # -1: none

        def judge() -> None:
            try:
                torch.set_num_threads(threads)  # torch keeps cores, GPU and grad for each thread
                with torch.no_grad(), torch.cuda.device(cuda):
                    future.set_result(self.oracle.judge(history, length, candidates))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=judge, name="judge", daemon=True).start()

    def answer(self) -> Judgement:
        """The judgement of what was asked; raises what `Oracle.judge` raised."""
        assert self._future is not None, "nothing was asked"
        future = self._future
        self.close()
        return future.result()

    def close(self, at_once: bool = False) -> None:
        """End what is under way, whose answer nobody waits for any more; its errors are nobody's either.

        `at_once` as Ctrl-C ends a judge, and without it if that takes too long; else the question is answered first.
        """
        if self._future is None:
            return
        if at_once:
            self.oracle.backend.interrupted = True
            wait([self._future], timeout=PATIENCE)
        while not at_once and not self._future.done():
            wait([self._future], timeout=WAKE_EVERY)
        self._future = None
