"""The routes for liveness and readiness."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.database import Replica
from hoc.readiness import Readiness
from hoc.server.stopping import Stopping

_TIMEOUT_SECONDS = 0.8

_log = logging.getLogger("hoc.health")


class Health:
    """``events`` gives the state of event publishing; it raises UnavailableError without the database.

    A server that is ``stopping`` is not ready.
    """

    def __init__(
        self,
        readiness: Readiness,
        events: Callable[[], Awaitable[dict[str, Any]]],
        replica: Replica | None = None,
        stopping: Stopping | None = None,
    ) -> None:
        self._readiness = readiness
        self._events = events
        self._replica = replica
        self._stopping = stopping

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.ready),
            Route("/health/detailed", self.detailed),
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
        ]

    async def live(self, _request: Request) -> Response:
        """200 as long as the process answers at all."""
        return _answer(200, "alive")

    async def ready(self, _request: Request) -> Response:
        """200 when the database is as this version needs it, else 503 with Retry-After and the reason."""
        reason = self._stopped() or await self._readiness.check()
        if reason is None:
            return _answer(200, "healthy")
        return _answer(503, "unhealthy", reason=reason)

    async def detailed(self, _request: Request) -> Response:
        """Like `ready`, with the state of events and of the replica. NATS and the replica may be away."""
        reason = await self._readiness.check()
        if (why := self._stopped() or reason) is not None:
            return _answer(503, "unhealthy", database_connected=reason is None, reason=why)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                events = await self._events()
        except Exception as problem:  # noqa: BLE001 - an operator asks whether it is healthy, and no more
            if not isinstance(problem, UnavailableError | TimeoutError):
                _log.error("the state of events could not be read", exc_info=problem)
            return _answer(503, "unhealthy", database_connected=False, reason="the database does not answer")
        replica = {} if self._replica is None else {"replica": self._replica.status}
        return _answer(200, "healthy", database_connected=True, **events, **replica)

    def _stopped(self) -> str | None:
        is_stopping = self._stopping is not None and self._stopping.is_begun
        return "the server is stopping" if is_stopping else None


def _answer(status: int, state: str, **details: object) -> Response:
    body = {"status": state, **details, "timestamp": datetime.now(UTC)}
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
