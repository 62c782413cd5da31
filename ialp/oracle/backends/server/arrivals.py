"""Many calls at once, their results as they come in."""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

# Seconds. A wait without a limit is deaf to Ctrl-C once a library, such as polars, lets system calls restart after it,
# and to an interrupt that comes from another thread.
WAKE_EVERY = 0.2

T = TypeVar("T")


def as_they_arrive(
    call: Callable[[int], T], count: int, threads: int, stop: Event, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, T]]:
    """(i, call(i)) for all i below `count`, `threads` at a time, in the order in which they end.

    The first error sets `stop`: what is under way is awaited and yielded, the rest is not begun, and the error raised.
    An interrupt, Ctrl-C or `interrupted`, does not wait, but what has come in before it is yielded first. The threads
    are daemons, so that none of them keeps the program from ending.
    """
    rows = iter(range(count))  # shared: each call of next() takes one number
    arrived: SimpleQueue[tuple[int, T] | Exception | None] = SimpleQueue()

    def work() -> None:
        try:
            while not stop.is_set() and (index := next(rows, None)) is not None:
                arrived.put((index, call(index)))
        except Exception as error:
            if not stop.is_set():
                arrived.put(error)
            stop.set()
        arrived.put(None)  # this thread is done

    running, failure = min(threads, count), None
    for _ in range(running):
        Thread(target=work, daemon=True).start()
    try:
        while running:
            if interrupted():
                raise KeyboardInterrupt
            try:
                result = arrived.get(timeout=WAKE_EVERY)
            except Empty:
                continue
            if result is None:
                running -= 1
            elif isinstance(result, Exception):
                failure = failure or result
            else:
                yield result
    except KeyboardInterrupt:
        while not arrived.empty():
            if isinstance(result := arrived.get(), tuple):
                yield result
        raise
    finally:
        stop.set()
    if failure is not None:
        raise failure
