"""What is made at import works in every event loop: of one test's client, and of the next test's."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from starlette.testclient import TestClient
from support.nats import NatsServer
from support.postgres import TestServer
from support.waiting import until

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import GatewayBackend
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.mail.mailbox import DevelopmentMailbox
from hoc.settings import Settings
from hoc.testing import MemoryDatabase

SECRET = "the-secret-of-this-gateway"
SLOW = text("SELECT pg_sleep(0.05)")


@pytest.fixture(scope="module")
async def url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """Its own database: others' mail would be delivered here."""
    async with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats") / "nats") as server:
        yield server


class Host:
    """An application as README makes it, at a module's level."""

    def __init__(self, url: str, nats: NatsServer, directory: Path) -> None:
        settings = Settings(
            database_url=SecretStr(url),
            nats_url=SecretStr(nats.url),
            nats_inbound_stream="BILLING",
            data_dir=directory,
            pool_size=2,
            max_requests=3,
        )
        self.accounts = Accounts(settings, authentication=GatewayBackend(secret=SECRET))
        self.app = FastAPI(lifespan=self.accounts.lifespan)
        self.app.mount("/accounts", self.accounts.console_app)
        self.app.mount("/api/v1", self.accounts.identity_app)
        self.nats = nats
        self.mailbox = DevelopmentMailbox(directory / "mailbox")


@pytest.fixture(scope="module")
def host(url: str, nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(url, nats, tmp_path_factory.mktemp("host"))


def caller(user_id: str, tenant_id: str = "") -> dict[str, str]:
    return {
        "X-Hoc-Gateway-Secret": SECRET,
        "X-Hoc-User-Id": user_id,
        "X-Hoc-Tenant-Id": tenant_id,
        "X-Hoc-Scopes": "accounts:read accounts:write accounts:admin",
    }


def ensure(client: TestClient, name: str) -> None:
    body = {"user_id": name, "email": f"{name}@example.com", "name": name}
    created = client.post("/api/v1/accounts/ensure", headers=caller("admin"), json=body)
    assert created.status_code == 201, created.text


def read_at_once(client: TestClient, name: str) -> None:
    """More requests at once than there are slots and connections, so that some wait."""

    def read(_number: int) -> Any:
        return client.get(f"/api/v1/accounts/profile/{name}", headers=caller("admin"))

    with ThreadPoolExecutor(12) as threads:
        assert {response.status_code for response in threads.map(read, range(36))} == {200}


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_the_lifespan_is_entered_in_one_loop_after_another(host: Host, name: str) -> None:
    """Each time requests wait for one another, mail is delivered, and events are published."""
    with TestClient(host.app) as client:
        ensure(client, name)
        read_at_once(client, name)
        project = client.post("/accounts/projects", headers=caller(name), json={"name": name})
        tenant_id = project.json()["project_id"]
        invited = client.post(
            "/accounts/users/invite", headers=caller(name, tenant_id), json={"email": f"{name}@example.org"}
        )
        assert invited.status_code == 201

        async def is_mailed() -> bool:
            return f"{name}@example.org" in {mail.to for mail in host.mailbox.read()}

        async def is_published() -> bool:
            return invited.json()["id"] in str(await host.nats.stored())

        asyncio.run(until(is_mailed))
        asyncio.run(until(is_published))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # as an error, it would keep what is abandoned open
def test_each_request_may_have_a_loop_of_its_own(host: Host) -> None:
    """So Starlette's TestClient does it that is not entered."""
    client = TestClient(host.app)
    ensure(client, "loner")
    for _ in range(2):
        assert client.get("/api/v1/accounts/profile/loner", headers=caller("admin")).status_code == 200
    asyncio.run(host.accounts.database.close())  # so that the last request's connections are garbage by now
    gc.collect()


LEAVING_EARLY = """
import asyncio, gc, sys
from hoc.events.nats import NatsConnection

async def leave_after(steps):
    async with NatsConnection(sys.argv[1]).running():
        for _ in range(steps):
            await asyncio.sleep(0)

for number in range(60):
    asyncio.run(leave_after(number % 20))
gc.collect()
"""


def test_a_nats_connection_that_is_left_early_is_closed(nats: NatsServer) -> None:
    """However far it had come. In a process of its own, where nothing else leaves anything open."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", LEAVING_EARLY, nats.url]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stderr == ""


@pytest.fixture
def one_connection(url: str) -> Database:
    return open_database(url, pool_size=1)


async def wait_behind(database: Database, *, abandon: bool) -> str:
    """Ask for the only connection while it is in use. Either give up at once, or return what came of it."""
    async with database.reading():
        waiting = asyncio.create_task(_read(database))
        await asyncio.sleep(0)
        if abandon:
            return "abandoned"
        async with asyncio.timeout(10):
            return await waiting


async def _read(database: Database) -> str:
    try:
        async with database.reading():
            return "read"
    except UnavailableError:
        return "unavailable"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # as an error, it would keep what is abandoned open
def test_who_waited_in_an_ended_loop_holds_nobody_up(one_connection: Database) -> None:
    """The connection, its slot and its timer were those of the loop that ended."""
    assert asyncio.run(wait_behind(one_connection, abandon=True)) == "abandoned"

    async def again() -> list[str]:
        found = [await _read(one_connection), await wait_behind(one_connection, abandon=False)]
        await one_connection.close()
        return found

    assert asyncio.run(again()) == ["read", "unavailable"]
    gc.collect()


async def test_a_pool_is_not_taken_from_a_running_loop(one_connection: Database) -> None:
    assert await _read(one_connection) == "read"
    with pytest.raises(RuntimeError, match="pooled=False"):
        await asyncio.to_thread(asyncio.run, _read(one_connection))
    assert await _read(one_connection) == "read"
    await one_connection.close()


def test_without_a_pool_threads_have_loops_at_the_same_time(url: str) -> None:
    database = open_database(url, pooled=False)
    all_are_here = Barrier(4)

    async def work() -> int:
        async with database.transaction() as session, database.reading() as reading:
            await asyncio.to_thread(all_are_here.wait, 60)
            await session.execute(SLOW)
            return int(await reading.scalar(text("SELECT 1")))

    def view(_number: int) -> int:
        return asyncio.run(work())

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(view, range(4))) == [1] * 4


def test_a_database_in_memory_works_in_every_loop() -> None:
    database = MemoryDatabase()
    names: Iterator[str] = (f"user-{number}" for number in range(8))

    async def write_at_once() -> None:
        await asyncio.gather(*(_add(database, next(names)) for _ in range(4)))

    asyncio.run(write_at_once())
    asyncio.run(write_at_once())
    assert len(database.events()) == 8


async def _add(database: MemoryDatabase, name: str) -> None:
    async with database.transaction() as session:
        await session.writable()
        await asyncio.sleep(0)
        await database.add_user(name, f"{name}@example.com", session=session)
