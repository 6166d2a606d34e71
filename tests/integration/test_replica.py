"""Lists are read on a standby. Who has written, who lost a right, and what fails there: none is affected."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from support.console import Console, Headers, serving
from support.replicated import Replicated, replicated, superuser
from support.servers import server_process
from support.statements import recorded_statements
from support.waiting import until

from hoc.asgi import Accounts
from hoc.cli.doctor import examine
from hoc.database import Replica
from hoc.database import replica as replica_module
from hoc.database.consistency_tokens import token_of
from hoc.database.direct import DirectConnection
from hoc.embedded import DataDirectory
from hoc.settings import Settings

LONG = 60_000
TOKEN = "consistency-token"
PENDING = "/invitations?status=pending"


@pytest.fixture(scope="module")
def pair() -> Generator[Replicated]:
    with replicated() as pair:
        yield pair


@dataclass(slots=True)
class Tenant:
    """A console whose replica is read, with a tenant of two people who may invite and see invitations."""

    console: Console
    replica: Replica
    tenant_id: str
    ada: Headers
    bob: Headers
    bob_id: str

    async def invite(self, who: Headers) -> str:
        """Returns the token."""
        email = self.console.new_email()
        answer = await self.console.client.post("/users/invite", json={"email": email}, headers=who)
        assert answer.status_code == 201
        return answer.headers[TOKEN]

    async def count(self, who: Headers, token: str | None = None) -> int:
        """How many invitations somebody sees."""
        headers = who if token is None else who | {TOKEN: token}
        answer = await self.console.client.get(PENDING, headers=headers)
        assert answer.status_code == 200, answer.text
        total: int = answer.json()["total"]
        return total

    async def until_count(self, who: Headers, count: int) -> None:
        """Wait until somebody sees so many: on a busy machine, the replica may not be read for a while."""

        async def is_so() -> bool:
            return await self.count(who) == count

        await until(is_so)

    async def page(self, who: Headers, cursor: str | None = None) -> tuple[list[str], str | None]:
        after = "" if cursor is None else f"&cursor={cursor}"
        answer = await self.console.client.get(f"{PENDING}&limit=2{after}", headers=who)
        body = answer.json()
        return [each["id"] for each in body["invitations"]], body["next_cursor"]

    async def until_read(self) -> None:
        """Wait until the replica is read."""
        await until(self._is_read)

    async def until_reason(self, *, given: bool) -> None:
        await until_reason(self.replica, given=given)

    async def _is_read(self) -> bool:
        return self.replica.status.is_read


async def until_reason(replica: Replica, *, given: bool) -> None:
    """Wait until there is a reason not to read it, or none."""

    async def is_so() -> bool:
        return (replica.status.reason is not None) == given

    await until(is_so)


@asynccontextmanager
async def tenant_on(pair: Replicated, directory: Path, **settings: Any) -> AsyncGenerator[Tenant]:
    given: dict[str, Any] = {
        "database_replica_url": pair.standby.url,
        "replica_staleness_ms": LONG,
    } | settings
    async with serving(pair.primary.url, directory, **given) as console:
        tenant_id, ada = await console.tenant()
        bob = await console.join(tenant_id, ada, "admin")
        replica = console.served.reads.replica
        assert replica is not None
        async with replica.running():
            tenant = Tenant(
                console, replica, tenant_id, console.as_(ada, tenant_id), console.as_(bob, tenant_id), bob
            )
            await pair.catch_up()
            await tenant.until_read()
            yield tenant


@pytest.fixture
async def tenant(pair: Replicated, tmp_path: Path) -> AsyncGenerator[Tenant]:
    async with tenant_on(pair, tmp_path) as tenant:
        yield tenant


@pytest.fixture
async def held(pair: Replicated) -> AsyncGenerator[Replicated]:
    """The pair, whose standby goes on after the test."""
    yield pair
    await pair.resume()


async def test_a_caller_reads_what_it_wrote(tenant: Tenant, held: Replicated) -> None:
    """Here without a token; with it, others do. Without it they see what the replica has."""
    await held.pause()
    token = await tenant.invite(tenant.ada)
    await tenant.until_count(tenant.bob, 0)
    assert await tenant.count(tenant.ada) == 1
    assert await tenant.count(tenant.bob, token) == 1
    await held.resume()
    await held.catch_up()
    assert await tenant.count(tenant.bob) == 1


async def test_a_token_holds_in_another_process(tenant: Tenant, held: Replicated, tmp_path: Path) -> None:
    settings = {"database_replica_url": held.standby.url, "replica_staleness_ms": str(LONG)}
    with server_process(held.primary.url, tmp_path, **settings) as other:
        async with httpx.AsyncClient(base_url=f"{other.url}/accounts") as client:

            async def replica() -> Any:
                return (await client.get(f"{other.url}/health/detailed")).json()["replica"]

            async def is_read() -> bool:
                return bool((await replica())["is_read"])

            await until(is_read)
            await held.pause()
            token = await tenant.invite(tenant.ada)
            tenant.console.client, here = client, tenant.console.client
            await tenant.until_count(tenant.ada, 0)
            assert await tenant.count(tenant.ada, token) == 1
            tenant.console.client = here
            lag = (await replica())["lag_seconds"]
            metrics = (await client.get(f"{other.url}/metrics")).text
    assert 0 <= lag < LONG / 1_000
    assert "\nhoc_replica_in_use 1.0\n" in metrics


async def test_rights_that_are_taken_away_are_gone_at_once(tenant: Tenant, held: Replicated) -> None:
    console, paths = tenant.console, ("/invitations", "/audit", "/users", "/projects", "/support/tickets")

    async def statuses() -> list[int]:
        return [(await console.client.get(path, headers=tenant.bob)).status_code for path in paths]

    await held.pause()
    assert await statuses() == [200] * len(paths)
    role = await console.client.put(
        f"/users/{tenant.bob_id}/role", json={"role": "viewer"}, headers=tenant.ada
    )
    assert (role.status_code, await statuses()) == (200, [403, 403, 200, 200, 200])
    await console.client.delete(f"/users/{tenant.bob_id}", headers=tenant.ada)
    assert await statuses() == [403] * len(paths)


async def test_a_list_goes_on_at_the_other_server(tenant: Tenant, held: Replicated) -> None:
    """The writer's pages are the primary's, the other's the replica's."""
    for _ in range(3):
        await tenant.invite(tenant.bob)
    await held.pause()
    await tenant.invite(tenant.ada)
    newest, cursor = await tenant.page(tenant.ada)
    older, end = await tenant.page(tenant.bob, cursor)
    assert (len(newest), len(older), len({*newest, *older}), end) == (2, 2, 4, None)
    await tenant.until_count(tenant.bob, 3)
    newest, cursor = await tenant.page(tenant.bob)
    older, end = await tenant.page(tenant.ada, cursor)
    assert (len(newest), len(older), len({*newest, *older}), end) == (2, 1, 3, None)


async def test_what_is_too_old_is_not_shown(
    pair: Replicated, held: Replicated, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with tenant_on(pair, tmp_path, replica_staleness_ms=200) as tenant:
        await held.pause()
        await tenant.invite(tenant.ada)

        with caplog.at_level(logging.INFO, "hoc.database"):
            await tenant.until_count(tenant.bob, 1)
            await tenant.until_reason(given=True)
            assert await tenant.count(tenant.bob) == 1
        [said] = [record.getMessage() for record in caplog.records]
        assert said.startswith("the replica is not read for now: it lags 0.")


async def test_a_standby_that_stops_is_no_outage(
    tenant: Tenant, pair: Replicated, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replica_module, "PAUSE_SECONDS", 0.1)
    await tenant.invite(tenant.ada)
    with caplog.at_level(logging.INFO, "hoc.database"):
        pair.standby.control("stop", "--mode=immediate")
        try:
            counts = await asyncio.gather(*(tenant.count(tenant.bob) for _ in range(20)))
            assert tenant.replica.status.reason is not None
        finally:
            pair.standby.control("start")
        await tenant.until_read()
        await tenant.until_reason(given=False)
    assert counts == [1] * 20
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("the replica is not read for now: ")
    assert last == "the replica is read again"


async def test_a_read_that_replay_cancels_is_made_again(tenant: Tenant, pair: Replicated) -> None:
    """A lock of the primary's conflicts with a read on the standby."""
    reading = asyncio.Event()
    places: list[str] = []

    async def work(session: DirectConnection) -> int:
        places.append("primary" if session.primary is None else "replica")
        if session.primary is None:
            return 1
        await session.execute(text("SELECT count(*) FROM account.alembic_version"))
        reading.set()
        await session.execute(text("SELECT pg_sleep(60) FROM account.alembic_version"))
        return 0

    task = asyncio.create_task(tenant.replica.read(work))
    await reading.wait()
    busy = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    await until(lambda: superuser(pair.standby, busy))
    async with tenant.console.database.transaction() as session:
        await session.execute(text("LOCK TABLE account.alembic_version IN ACCESS EXCLUSIVE MODE"))
    assert (await task, places) == (1, ["replica", "primary"])
    assert (tenant.replica.status.reason or "").endswith("(SQLSTATE 40001)")


async def test_a_token_that_hoc_cannot_read_does_no_harm(tenant: Tenant, held: Replicated) -> None:
    """One of another cluster, another version or of nobody reads the primary. Other text is a 400."""
    await held.pause()
    await tenant.invite(tenant.ada)
    for token in (token_of(2**63), "AAAA", "AQ", "_" * 64):
        assert await tenant.count(tenant.bob, token) == 1
    await tenant.until_count(tenant.bob, 0)
    for token in ("", "not a token", "A" * 65, "é"):
        headers = [(name.encode(), value.encode()) for name, value in (tenant.bob | {TOKEN: token}).items()]
        answer = await tenant.console.client.get(PENDING, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_a_server_that_is_no_standby_is_not_read(
    pair: Replicated, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the primary itself, nor a database of another cluster. The doctor says so, too."""
    monkeypatch.setenv("HOC_DATABASE_URL", pair.primary.url)

    async def diagnosis(url: str) -> tuple[str, str]:
        monkeypatch.setenv("HOC_DATABASE_REPLICA_URL", url)
        findings = await asyncio.to_thread(examine, DataDirectory(tmp_path))
        [found] = [each for each in findings if each["check"] == "replica"]
        return found["state"], " ".join(found["detail"].split()[:3])

    assert await diagnosis(pair.standby.url) == ("ok", "follows the primary,")
    for url, reason, said in (
        (pair.primary.url, "it is no standby", "is not in"),
        (database_url, "it belongs to another", "is not in"),
    ):
        assert await diagnosis(url) == ("wrong", said)
        async with AsyncExitStack() as stack:
            accounts = Accounts(Settings(data_dir=tmp_path))
            stack.push_async_callback(accounts.database.close)
            replica = accounts.reads.replica
            assert replica is not None
            await stack.enter_async_context(replica.running())
            await until_reason(replica, given=True)
            assert (replica.status.is_read, (replica.status.reason or "")[: len(reason)]) == (False, reason)


async def test_without_a_replica_nothing_is_asked_for_it(pair: Replicated, tmp_path: Path) -> None:
    async with serving(pair.primary.url, tmp_path) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        with recorded_statements(console.database) as sent:
            body = {"email": console.new_email()}
            written = await console.client.post("/users/invite", json=body, headers=headers)
            read = await console.client.get(PENDING, headers=headers | {TOKEN: token_of(2**63)})
        assert (written.status_code, read.json()["total"], TOKEN in written.headers) == (201, 1, False)
        assert not [statement for statement in sent if "pg_" in statement]


async def test_code_reads_on_the_replica_too(tenant: Tenant, held: Replicated) -> None:
    reads, invitations = tenant.console.served.reads, tenant.console.facade.invitations

    async def count(token: str | None = None) -> int:
        page = await reads.run(
            lambda session: invitations.list(session, tenant.tenant_id, tenant.bob_id, status="pending"),
            token=token,
        )
        return page.value.total

    await held.pause()
    async with tenant.console.transaction() as session:
        await invitations.invite(session, tenant.tenant_id, tenant.bob_id, email="new@example.com")
    token = await reads.token()

    async def is_read_there() -> bool:
        return await count() == 0

    await until(is_read_there)
    assert await count(token) == 1
