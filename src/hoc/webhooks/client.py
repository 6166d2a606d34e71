"""Sending one event to one endpoint, within a deadline."""

import asyncio
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.values import WebhookError
from hoc.cus.account.L5_schemas.webhooks import LeasedWebhook, WebhookAttempt
from hoc.webhooks.connecting import ForbiddenAddressError, UnresolvedError
from hoc.webhooks.payload import headers_of, payload_of

CONNECT_SECONDS: Final = 5.0
DEADLINE_SECONDS: Final = 10.0
"""For everything: the name, the connection, TLS, the request and the answer."""
MAX_ANSWER: Final = 16 * 1024
"""Bytes of an answer's body that are read; then the connection is closed."""


class WebhookClient:
    """Sends events through the pools of connections, by scheme. ``source`` is that of CloudEvents."""

    def __init__(
        self,
        pools: Mapping[bytes, httpcore.AsyncConnectionPool],
        source: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._pools = pools
        self._source = source
        self._deadline = deadline_seconds

    async def send(self, endpoint: LeasedWebhook, event: EventResult, until: float) -> WebhookAttempt:
        """Send an event once. ``until``, by the loop's clock, is when the lease ends, and so the attempt."""
        loop, now = asyncio.get_running_loop(), utc_now()
        started = loop.time()
        status: int | None = None
        error: WebhookError | None = None
        retry_after: str | None = None
        try:
            async with asyncio.timeout_at(min(started + self._deadline, until)):
                status, retry_after = await self._post(endpoint, event)
        except TimeoutError:
            error = WebhookError.TIMEOUT
        except Exception as problem:  # noqa: BLE001 - whatever an endpoint does, others must be sent to
            error = _error_of(problem)
        return WebhookAttempt(
            event_id=event.event_id,
            event_type=event.type,
            sequence=event.sequence,
            at=now,
            status=status,
            error=error,
            latency_ms=int((loop.time() - started) * 1_000),
            retry_after=_seconds(retry_after),
        )

    async def _post(self, endpoint: LeasedWebhook, event: EventResult) -> tuple[int, str | None]:
        url = httpcore.URL(endpoint.url)
        payload = payload_of(event, self._source)
        async with self._pools[url.scheme].stream(
            "POST",
            url,
            headers=[*headers_of(event, payload, endpoint.secrets, utc_now()).items()],
            content=payload,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            read = 0
            async for part in response.aiter_stream():
                read += len(part)
                if read > MAX_ANSWER:
                    break
            names = {name.lower(): value for name, value in response.headers}
            return response.status, names.get(b"retry-after", b"").decode("ascii", "replace") or None

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _error_of(problem: Exception) -> WebhookError:
    match problem:
        case UnresolvedError():
            return WebhookError.UNRESOLVED
        case ForbiddenAddressError():
            return WebhookError.FORBIDDEN_ADDRESS
        case httpcore.TimeoutException():
            return WebhookError.TIMEOUT
        case httpcore.NetworkError():
            return WebhookError.TLS if _is_of_tls(problem) else WebhookError.UNREACHABLE
        case _:
            return WebhookError.PROTOCOL


def _is_of_tls(problem: BaseException) -> bool:
    """Whether an error of TLS is behind the error of a library, or of the one below it."""
    behind: BaseException | None = problem
    while behind is not None and not isinstance(behind, ssl.SSLError):
        behind = behind.__cause__ or behind.__context__
    return behind is not None


def _seconds(retry_after: str | None) -> int | None:
    """The seconds of a ``Retry-After``, which are a number or a date (RFC 9110, 10.2.3). None: neither."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:9]), 10**6)
    try:
        return max(0, int((parsedate_to_datetime(retry_after) - utc_now()).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None
