"""How much a server may be asked, counted over all threads."""

import threading

from ialp.oracle.backends.base import BudgetExceeded, part_of


class Meter:
    """Counts requests and tokens, and refuses the request that could pass a limit.

    Args:
        max_requests: HTTP requests in all, repeated ones included; None for no limit.
        max_tokens: Tokens read and written in all, as the server reports them; None for no limit.
        rank: Of this process.
        ranks: Processes that share the limits; each keeps to its part.

    Attributes:
        requests: Sent so far.
        tokens: Reported so far.
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None, rank: int = 0, ranks: int = 1):
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self._my_requests, self._my_tokens = (part_of(limit, rank, ranks) for limit in (max_requests, max_tokens))
        self._parts = f", of which this one of {ranks} processes has its share" if ranks > 1 else ""
        self.requests = 0
        self.tokens = 0
        self._held = 0  # the most that requests under way can take
        self._changed = threading.Condition()

    def admit(self, most: int) -> None:
        """Count a request that takes at most `most` tokens; `settle` must follow.

        Near the limit it waits until it is known what the requests under way have taken.

        Raises:
            BudgetExceeded: The request could pass a limit.
        """
        with self._changed:
            while True:
                if self._my_requests is not None and self.requests >= self._my_requests:
                    raise spent("max_requests", f"{self.max_requests} requests{self._parts}")
                if self._my_tokens is None or self.tokens + self._held + most <= self._my_tokens:
                    break
                if not self._held:
                    raise spent("max_tokens", f"{self.max_tokens} tokens{self._parts}")
                self._changed.wait()
            self.requests += 1
            self._held += most

    def settle(self, most: int, used: int) -> None:
        """The request that was admitted with `most` is over, and has taken `used` tokens."""
        with self._changed:
            self._held -= most
            self.tokens += used
            self._changed.notify_all()


def spent(limit: str, value: str) -> BudgetExceeded:
    """Says which limit ends the run, and that nothing is lost."""
    return BudgetExceeded(
        f"judge.{limit}: the next request could pass the limit of {value}; every answer so far is in the "
        "cache, and the next run asks only what is left; raise the limit, or train shorter"
    )
