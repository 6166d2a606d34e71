"""A synchronous standby takes over under load: no acknowledged write is lost, and errors are 503."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import httpx
import pytest
from support.command_line import open_directory
from support.console import HOST
from support.own_postgres import OwnPostgres, own_postgres, standby_of
from support.replicated import superuser
from support.servers import development_keys
from support.waiting import until

from hoc.concurrency.background import in_background
from hoc.migrations import migrate
from hoc.server import create_app

WRITERS: Final = 6


@dataclass(slots=True)
class Pair:
    """A primary, its standby, the service on both, and what its writers were answered."""

    primary: OwnPostgres
    standby: OwnPostgres
    client: httpx.AsyncClient
    headers: dict[str, str]
    acknowledged: list[str] = field(default_factory=list[str])
    refused: int = 0
    others: set[int] = field(default_factory=set[int])

    async def write(self) -> None:
        """Create accounts, one after the other."""
        while True:
            user_id = uuid.uuid4().hex
            body = {"user_id": user_id, "email": f"{user_id}@example.com", "name": "Ada"}
            answer = await self.client.post("/api/v1/accounts/ensure", json=body, headers=self.headers)
            if answer.status_code == 201:
                self.acknowledged.append(user_id)
            elif answer.status_code == 503 and "retry-after" in answer.headers:
                self.refused += 1
                await asyncio.sleep(0.02)
            else:
                self.others.add(answer.status_code)
                return
            await asyncio.sleep(0)

    async def until_more(self, count: int = 50) -> None:
        """Wait for as many more acknowledged writes."""
        goal = len(self.acknowledged) + count
        await until(_soon(lambda: len(self.acknowledged) >= goal or bool(self.others)))

    async def until_refused(self) -> None:
        goal = self.refused + WRITERS
        await until(_soon(lambda: self.refused >= goal))

    async def reason(self) -> str | None:
        answer = await self.client.get("/health/ready")
        assert answer.status_code in {200, 503}
        reason: str | None = answer.json().get("reason")
        return reason

    async def lost(self) -> set[str]:
        """The accounts acknowledged so far that the standby does not have."""
        acknowledged = set(self.acknowledged)
        connection = await asyncpg.connect(self.standby.url)
        rows = await connection.fetch("SELECT user_id FROM account.users")
        await connection.close()
        return acknowledged - {row["user_id"] for row in rows}


def _soon(condition: Callable[[], bool]) -> Callable[[], Awaitable[object]]:
    async def is_true() -> bool:
        return condition()

    return is_true


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Pair]:
    async with AsyncExitStack() as stack:
        place = stack.enter_context(open_directory())
        primary = stack.enter_context(own_postgres(place / "data"))
        primary.admit(
            "host all,replication postgres 127.0.0.1/32 trust", "host all hoc 127.0.0.1/32 scram-sha-256"
        )
        await migrate(primary.url)
        standby = stack.enter_context(standby_of(primary))
        await superuser(
            primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
        )
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        await until(lambda: superuser(primary, streaming))
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        login = f"hoc:{primary.password}"
        monkeypatch.setenv(
            "HOC_DATABASE_URL", f"postgresql://{login}@{hosts}/hoc?target_session_attrs=read-write"
        )
        monkeypatch.setenv("HOC_DATA_DIR", str(place / "keys"))
        monkeypatch.setenv("HOC_DEVELOPMENT", "true")
        app = create_app()
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=HOST))
        token = development_keys(place / "keys").issue("ada", "ten", scopes=["accounts:admin"])
        pair = Pair(primary, standby, client, {"Authorization": f"Bearer {token}"})
        for number in range(WRITERS):
            await stack.enter_async_context(in_background(pair.write, name=f"writer {number}"))
        yield pair


async def assert_the_standby_takes_over(pair: Pair) -> None:
    await pair.until_refused()
    assert await pair.reason() is not None
    assert await superuser(pair.standby, "SELECT pg_promote()")
    await pair.until_more()
    assert (await pair.lost(), pair.others) == (set(), set())
    assert await pair.reason() is None


async def test_a_standby_is_promoted_when_the_primary_dies(pair: Pair) -> None:
    await pair.until_more()
    pair.primary.control("stop", "--mode=immediate")
    await assert_the_standby_takes_over(pair)


async def test_a_demoted_primary_is_left_for_the_new_one(pair: Pair) -> None:
    """It still runs, and answers reads on the connections that the pool has to it."""
    await pair.until_more()
    await superuser(
        pair.primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    await assert_the_standby_takes_over(pair)
