"""Waiting for a slot of a limiter, or refusing the request."""

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_schemas.errors import UnavailableError

RETRY_AFTER_SECONDS = 1
TIMEOUT_SECONDS = 0.8
"""How long a request waits for a slot before it is answered 503."""


def slots(count: int) -> PerLoop[Limiter[None]]:
    """So many slots in each event loop."""
    return PerLoop(lambda: Limiter(count, timeout_seconds=TIMEOUT_SECONDS))


async def take_slot(limiter: Limiter[None]) -> None:
    """Take a slot, which the caller must release. Raises UnavailableError if none is free in time."""
    try:
        await limiter.acquire()
    except TimeoutError:
        raise UnavailableError(
            "The server is overloaded. Nothing was changed."
            " Retry after the number of seconds in Retry-After.",
            retry_after=RETRY_AFTER_SECONDS,
        ) from None
