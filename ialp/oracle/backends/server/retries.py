"""What is asked again, how often, and after how long."""

from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

LONGEST_PAUSE = 60.0  # seconds between two attempts, where the server does not ask for more


class Transient(Exception):  # noqa: N818 - may pass
    """A request that may succeed when it is repeated, not before `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 0.0):
        super().__init__(message)
        self.retry_after = retry_after


class InvalidAnswer(Exception):  # noqa: N818 - an answer, not a fault
    """The model said something that is not a label; the text is what it said."""


def retrying(retries: int, backoff: float, stop: Event) -> "Retrying":
    """Calls what it is given until that succeeds, fails for good, has had its retries, or `stop` is set.

    After a fault it waits: `backoff` seconds, doubled each time, with jitter, and at least what the server asks for.
    """
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        sleep_using_event,
        stop_after_attempt,
        stop_when_event_set,
        wait_exponential_jitter,
    )

    pause = wait_exponential_jitter(initial=backoff, max=LONGEST_PAUSE, jitter=backoff)

    def wait(state: "RetryCallState") -> float:
        fault = state.outcome.exception() if state.outcome else None
        return max(fault.retry_after, pause(state)) if isinstance(fault, Transient) else 0.0

    return Retrying(
        retry=retry_if_exception_type((Transient, InvalidAnswer)),
        wait=wait,
        stop=stop_after_attempt(retries + 1) | stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
