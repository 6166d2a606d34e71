"""Sends writes to random servers, and notes the outcome of each."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from ledger import Kind, Ledger, Outcome, Write
from pulse import Pulse
from targets import Server

# Longer than any answer takes: a write that was given up may be executed after those that follow it.
TIMEOUT_SECONDS: Final = 60
PAUSE_SECONDS: Final = 0.05
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    user_id: str = "operator"
    tenant_id: str = ""
    idempotency_key: str = ""


class Client:
    """Each successful write beats ``work`` and its server's pulse."""

    def __init__(self, servers: Sequence[Server], gateway_secret: str, ledger: Ledger, work: Pulse) -> None:
        self._ledger = ledger
        self._work = work
        self._servers = servers
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._headers = {"X-Hoc-Gateway-Secret": gateway_secret, "X-Hoc-Scopes": "accounts:admin"}

    async def close(self) -> None:
        await self._http.aclose()

    async def once(self, key: str, number: int, kind: Kind, request: Request) -> Outcome:
        """Send the write once, whatever the outcome."""
        _, outcome = await self._send(request)
        self._note(key, number, kind, outcome)
        return outcome

    async def repeated(self, key: str, number: int, kind: Kind, request: Request) -> Outcome:
        """Send the write until its outcome is known. It must be safe to repeat."""
        _, outcome = await self.answered(request)
        self._note(key, number, kind, outcome)
        return outcome

    async def answered(self, request: Request) -> tuple[httpx.Response, Outcome]:
        outcomes: set[Outcome] = set()
        while True:
            response, outcome = await self._send(request)
            if response is not None and outcome is not Outcome.UNKNOWN:
                is_open = outcome is Outcome.FAILED and Outcome.UNKNOWN in outcomes
                return response, Outcome.UNKNOWN if is_open else outcome
            outcomes.add(outcome)

    async def _send(self, request: Request) -> tuple[httpx.Response | None, Outcome]:
        server = random.choice(self._servers)
        began = time.monotonic()
        response, answer, outcome = None, "", Outcome.UNKNOWN
        try:
            response = await self._http.request(
                request.method,
                server.url + request.path,
                json=request.body,
                headers=self._headers_of(request),
            )
        except httpx.TransportError as problem:
            answer = type(problem).__name__
            if isinstance(problem, _UNSENT):
                outcome = Outcome.FAILED
        else:
            answer = str(response.status_code)
            outcome = _outcome(response)
        self._ledger.answers[answer] += 1
        if outcome is Outcome.OK:
            self._work.beat(began)
            server.pulse.beat(began)
        else:
            await asyncio.sleep(PAUSE_SECONDS)
        return response, outcome

    def _headers_of(self, request: Request) -> dict[str, str]:
        given = {
            "X-Hoc-User-Id": request.user_id,
            "X-Hoc-Tenant-Id": request.tenant_id,
            "Idempotency-Key": request.idempotency_key,
        }
        return self._headers | {name: value for name, value in given.items() if value}

    def _note(self, key: str, number: int, kind: Kind, outcome: Outcome) -> None:
        self._ledger.writes.append(Write(key, number, kind, outcome))


def _outcome(response: httpx.Response) -> Outcome:
    if response.is_success:
        return Outcome.OK
    return Outcome.FAILED if response.is_client_error else Outcome.UNKNOWN
