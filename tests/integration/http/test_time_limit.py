"""A request ends within its time, and its answer says truly whether it may have changed something."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx
import pytest
from sqlalchemy import text
from support.console import Console, ConsoleOn, Headers, problem_of
from support.outage import Proxy, proxied
from support.postgres import open_connections
from support.seed import scalar
from support.waiting import PATIENCE_SECONDS, until

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest
from hoc.cus.account.wiring import time_limit
from hoc.database import Database

SECONDS: Final = 1.0
MUST_END_SECONDS: Final = 4.5  # a busy machine may be late; without a limit the requests take 5 and more
SLOW_SECONDS: Final = 0.15
NOTHING: Final = ("unavailable", "nothing was changed")
UNKNOWN: Final = ("outcome_unknown", "the outcome is unknown")


@dataclass(frozen=True, slots=True)
class Site:
    """A console behind a proxy, its caller, and the database past the proxy."""

    console: Console
    proxy: Proxy
    database: Database
    owner: str
    headers: Headers

    async def send(self, request: "Request", name: str, **headers: str) -> httpx.Response:
        method, path, body = request(name)
        async with asyncio.timeout(MUST_END_SECONDS):
            return await self.console.client.request(method, path, json=body, headers=self.headers | headers)

    async def works(self) -> bool:
        answers = [await self.send(each, uuid.uuid4().hex) for each in (ticket, profile, users)]
        return all(answer.is_success for answer in answers)

    async def count(self, name: str) -> int:
        """How many rows have this name, which a request gave them."""
        tickets = f"SELECT count(*) FROM account.support_tickets WHERE subject = '{name}'"
        users = f"SELECT count(*) FROM account.users WHERE avatar_url LIKE '%{name}'"
        counted = await scalar(self.database, f"SELECT ({tickets}) + ({users})")
        assert isinstance(counted, int)
        return counted


Request: TypeAlias = Callable[[str], tuple[str, str, object]]
Condition: TypeAlias = Callable[[Site, str], AbstractAsyncContextManager[None]]


@pytest.fixture
async def site(
    console_on: ConsoleOn, fresh_database_url: str, fresh_database: Database
) -> AsyncGenerator[Site]:
    async with (
        proxied(fresh_database_url) as (url, proxy),
        console_on(
            f"{url}?sslmode=disable&connect_timeout=20",  # with TLS, a cancellation would need an answer
            pool_size=4,
            request_timeout_ms=int(SECONDS * 1_000),
            hooks={"ticket.created": hang_if_urgent},
        ) as console,
    ):
        tenant_id, owner = await console.tenant()
        await open_connections(console.database, 4)
        yield Site(console, proxy, fresh_database, owner, console.as_(owner, tenant_id))


async def hang_if_urgent(_session: object, event: Any) -> None:
    if event.priority == "urgent":
        await asyncio.Event().wait()


def unanswered(message: str = "{name}") -> Condition:
    """No answer comes to this message, nor to later ones. By default it is the statement with the name."""

    @asynccontextmanager
    async def condition(site: Site, name: str) -> AsyncGenerator[None]:
        site.proxy.hold_answers_to(message.format(name=name).encode())
        yield
        site.proxy.thaw()

    return condition


@asynccontextmanager
async def silent(site: Site, _name: str) -> AsyncGenerator[None]:
    site.proxy.hold_answers()
    yield
    site.proxy.thaw()


@asynccontextmanager
async def slow(site: Site, _name: str) -> AsyncGenerator[None]:
    """Each message is late, but none is later than a statement may be."""
    site.proxy.delay_seconds = SLOW_SECONDS
    yield
    site.proxy.delay_seconds = 0


@asynccontextmanager
async def locked(site: Site, _name: str) -> AsyncGenerator[None]:
    async with site.database.transaction() as session:
        await session.execute(text("LOCK TABLE account.support_tickets, account.users IN SHARE MODE"))
        yield


@asynccontextmanager
async def as_usual(_site: Site, _name: str) -> AsyncGenerator[None]:
    yield


def ticket(name: str) -> tuple[str, str, object]:
    return "POST", "/support/tickets", {"subject": name, "description": "Please."}


def urgent_ticket(name: str) -> tuple[str, str, object]:
    return "POST", "/support/tickets", {"subject": name, "description": "Now.", "priority": "urgent"}


def profile(name: str) -> tuple[str, str, object]:
    """One statement changes it."""
    return "PUT", "/profile", {"avatar_url": f"https://example.com/{name}"}


def users(_name: str) -> tuple[str, str, object]:
    return "GET", "/users", None


@pytest.mark.parametrize(
    ("condition", "request_", "said", "stored", "is_cancelled"),
    [
        pytest.param(silent, users, NOTHING, 0, None, id="a read gets no answer"),
        pytest.param(unanswered("BEGIN"), ticket, NOTHING, 0, True, id="a BEGIN gets no answer"),
        pytest.param(unanswered(), ticket, NOTHING, 0, True, id="a statement gets no answer"),
        pytest.param(unanswered(), profile, UNKNOWN, 1, True, id="a statement that commits gets no answer"),
        pytest.param(unanswered("COMMIT;"), ticket, UNKNOWN, 1, False, id="a COMMIT gets no answer"),
        pytest.param(locked, ticket, NOTHING, 0, True, id="a statement waits for a lock"),
        pytest.param(locked, profile, UNKNOWN, 0, True, id="a statement that commits waits for a lock"),
        pytest.param(slow, ticket, NOTHING, 0, None, id="each message is late"),
        pytest.param(as_usual, urgent_ticket, NOTHING, 0, None, id="a hook hangs"),
    ],
)
async def test_a_request_ends_in_time_and_says_what_it_did(
    site: Site,
    condition: Condition,
    request_: Request,
    said: tuple[str, str],
    stored: int,
    *,
    is_cancelled: bool | None,
) -> None:
    name = uuid.uuid4().hex
    async with condition(site, name):
        answer = await site.send(request_, name)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], answer.headers["retry-after"]) == (503, said[0], "1")
    assert said[1] in problem["detail"]
    assert await site.count(name) == stored
    if is_cancelled is not None:
        assert bool(site.proxy.cancel_requests) is is_cancelled
    await until(site.works)


async def test_a_key_finds_out_what_an_unknown_outcome_was(site: Site) -> None:
    name, key = uuid.uuid4().hex, {"Idempotency-Key": uuid.uuid4().hex}
    async with unanswered("COMMIT;")(site, name):
        assert (await site.send(ticket, name, **key)).status_code == 503

    async def is_told() -> bool:
        again = await site.send(ticket, name, **key)
        return again.is_success and again.json()["subject"] == name

    await until(is_told)
    assert await site.count(name) == 1


async def test_python_code_can_set_a_time_limit(site: Site) -> None:
    update = site.console.accounts.update_account_profile
    with time_limit(PATIENCE_SECONDS).running():
        await update(site.owner, AccountUpdateRequest(name="Ada"))
    async with silent(site, ""):
        with pytest.raises(UnavailableError, match="took too long"), time_limit(0.3).running():
            await update(site.owner, AccountUpdateRequest(name="Grace"))
