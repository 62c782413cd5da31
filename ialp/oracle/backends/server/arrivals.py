"""Many calls at once, their results as they come in."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.pool import IMapIterator, ThreadPool
from threading import Event
from typing import TypeVar

# Seconds. A wait without a limit is deaf to Ctrl-C once a library, such as polars, lets system calls restart after it,
# and to an interrupt that comes from another thread.
WAKE_EVERY = 0.2

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - no fault
    """A call that was not begun, or not repeated, because another one has failed."""


def never() -> bool:
    """False."""
    return False


def as_they_arrive(
    call: Callable[[int], T],
    count: int,
    threads: int,
    stop: Event,
    interrupted: Callable[[], bool] = never,
) -> Iterator[tuple[int, T]]:
    """(i, call(i)) for all i below `count`, `threads` at a time, in the order in which they end.

    The first error sets `stop`: what is under way is awaited and yielded, the rest is not begun, and the error raised.
    An interrupt, Ctrl-C or `interrupted`, does not wait, but what has come in before it is yielded first. The threads
    are daemons, so that none of them keeps the program from ending.
    """

    def attempt(index: int) -> tuple[int, T | Exception]:
        if stop.is_set():
            return index, Cancelled()
        try:
            return index, call(index)
        except Exception as error:
            stop.set()
            return index, error

    failure: Exception | None = None
    pool = ThreadPool(min(threads, count))
    results = pool.imap_unordered(attempt, range(count))
    try:
        for index, result in received(results, True, interrupted):
            if not isinstance(result, Exception):
                yield index, result
            elif failure is None or isinstance(failure, Cancelled):
                failure = result
    except KeyboardInterrupt:
        stop.set()
        for index, result in received(results, False):
            if not isinstance(result, Exception):
                yield index, result
        raise
    finally:
        stop.set()
        pool.terminate()
    if failure is not None:
        raise failure


def received(results: "IMapIterator[T]", wait: bool, interrupted: Callable[[], bool] = never) -> Iterator[T]:
    """All results as they come, or those that are there."""
    while True:
        if interrupted():
            raise KeyboardInterrupt
        try:
            yield results.next(timeout=WAKE_EVERY if wait else 0)
        except StopIteration:
            return
        except multiprocessing.TimeoutError:
            if not wait:
                return
