"""Limits on the requests of each caller and of each client address. It needs the extra ``rate-limits``."""

import asyncio
import logging
import time
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import cast

from limits import RateLimitItem, parse_many
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from starlette.types import Scope

from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L2_api.rate_limit_counters import Counters
from hoc.cus.account.L5_schemas.errors import LimitExceededError

STORE_TIMEOUT_SECONDS = 0.25

_log = logging.getLogger("hoc.http")


class RateLimits:
    """Counts requests in fixed windows, which begin with a caller's or an address's first request.

    An IPv6 client is counted by its /64 network, which is one customer's. While the shared store is
    unavailable, requests are not limited.

    Args:
        per_caller: limits in the notation of the library `limits`, such as ``1000/hour;100/minute``.
        per_address: the same.
        storage_url: of a store that processes share, in the library's notation. None counts in this process.

    Raises:
        ValueError: an argument is wrong.
    """

    def __init__(self, *, per_caller: str, per_address: str, storage_url: str | None = None) -> None:
        self._per_caller = _parsed("HOC_RATE_LIMIT_PER_CALLER", per_caller)
        self._per_address = _parsed("HOC_RATE_LIMIT_PER_ADDRESS", per_address)
        storage = _storage(storage_url)  # so that a wrong URL is refused now
        self._limiter = PerLoop(
            lambda: FixedWindowRateLimiter(storage if storage_url is None else _storage(storage_url))
        )
        self._is_available = True

    async def count_address(self, scope: Scope) -> None:
        """Count a request for its client's address. Raises LimitExceededError."""
        client = scope.get("client")
        if client is not None:
            await self._count(self._per_address, "address", _network(client[0]))

    async def count_caller(self, user_id: str) -> None:
        """Count a request for its caller. Raises LimitExceededError."""
        await self._count(self._per_caller, "caller", user_id)

    async def _count(self, limits: list[RateLimitItem], kind: str, identity: str) -> None:
        limiter = self._limiter.get()
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                for limit in limits:
                    if not await limiter.hit(limit, "hoc", kind, identity):
                        ends_at, _ = await limiter.get_window_stats(limit, "hoc", kind, identity)
                        raise _exceeded(limit, kind, ends_at)
        except (StorageError, OSError):  # a TimeoutError is one, too
            if self._is_available:
                _log.warning("requests are not limited: the store in HOC_RATE_LIMIT_STORAGE_URL fails")
            self._is_available = False
        else:
            self._is_available = True


def _parsed(setting: str, limits: str) -> list[RateLimitItem]:
    try:
        return parse_many(limits)
    except ValueError:
        raise ValueError(f'{setting}: write limits as in "1000/hour;100/minute".') from None


def _storage(url: str | None) -> Storage:
    if url is None:
        return Counters()
    asynchronous = f"async+{url.removeprefix('async+')}"
    try:
        return cast("Storage", storage_from_string(asynchronous, wrap_exceptions=True))
    except ConfigurationError:
        raise ValueError(
            "HOC_RATE_LIMIT_STORAGE_URL: the store is unknown or its client is not installed;"
            " use redis://…, memcached://… or mongodb://… as the library `limits` describes."
        ) from None


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:  # not from TCP
        return address
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(ip_network((ip, 64), strict=False))
    return address


def _exceeded(limit: RateLimitItem, kind: str, ends_at: float) -> LimitExceededError:
    whose = "You have" if kind == "caller" else "Your network address has"
    return LimitExceededError(
        f"{whose} sent more requests than {limit}. Nothing was changed."
        " Retry after the number of seconds in Retry-After.",
        code="rate_limited",
        retry_after=max(1, ceil(ends_at - time.time())),
    )
