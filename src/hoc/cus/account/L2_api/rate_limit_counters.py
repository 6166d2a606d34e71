"""The counters of rate limits in one process."""

import heapq
import time

from limits.aio.storage import Storage


class Counters(Storage):
    """A storage for the library `limits`: counters that expire, at most ``capacity`` of them.

    The library's own storage in memory looks through all counters at each request. Beyond the capacity, the
    counter that expires first is forgotten.
    """

    STORAGE_SCHEME = None

    def __init__(self, *, capacity: int = 200_000) -> None:
        super().__init__()
        self._capacity = capacity
        self._counts: dict[str, tuple[int, float]] = {}  # with the time at which it expires
        self._expirations: list[tuple[float, str]] = []  # a heap

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError  # it raises none

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, and return the count. A new counter expires after ``expiry`` seconds."""
        self._expire()
        if (known := self._counts.get(key)) is None:
            ends_at = time.time() + expiry
            heapq.heappush(self._expirations, (ends_at, key))
            known = (0, ends_at)
        self._counts[key] = (known[0] + amount, known[1])
        return self._counts[key][0]

    async def get(self, key: str) -> int:
        self._expire()
        return self._counts.get(key, (0, 0.0))[0]

    async def get_expiry(self, key: str) -> float:
        """Return the time at which a counter expires, in seconds since the epoch."""
        return self._counts.get(key, (0, time.time()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        count = len(self._counts)
        self._counts.clear()
        self._expirations.clear()
        return count

    async def clear(self, key: str) -> None:
        if key in self._counts:
            self._counts[key] = (0, self._counts[key][1])

    def _expire(self) -> None:
        now = time.time()
        while self._expirations and (
            self._expirations[0][0] <= now or len(self._expirations) > self._capacity
        ):
            del self._counts[heapq.heappop(self._expirations)[1]]
