"""Where relays work: a database and a NATS of a test's own, to write to the one and read the other."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
from support.nats import NatsServer
from support.races import rewrite
from support.seed import execute
from support.waiting import until
from support.world import PostgresWorld

from hoc.cus.account.L6_drivers.event_sequencing import EventBacklog, SqlEventSequencing
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.events.nats import JetStreamPublisher, NatsConnection
from hoc.events.relay import Relay

SOURCE = "urn:test:accounts"

_TELL = (
    "INSERT INTO account.outbox (type, time, user_id, tenant_id, payload)"
    " VALUES ('user.profile_updated', now(), CAST(:user AS text), :tenant,"
    " json_build_object('user_id', CAST(:user AS text), 'name', CAST(:name AS text)))"
)


class Site:
    """Every account that `world` makes, and every `rename`, is an event for the relays."""

    def __init__(self, url: str, nats: NatsServer, database: Database) -> None:
        self.url, self.nats, self.database = url, nats, database
        self.world = PostgresWorld(database)

    @asynccontextmanager
    async def connected(
        self, *mechanisms: tuple[str, str], nats_url: str | None = None
    ) -> AsyncGenerator[tuple[Database, NatsConnection]]:
        """Connections as one process has them; of its statements the mechanisms are taken out."""
        async with AsyncExitStack() as stack:
            database = open_database(self.url, pool_size=3)
            stack.push_async_callback(database.close)
            rewrite(database, *mechanisms)
            connection = NatsConnection(nats_url or self.nats.url)
            await stack.enter_async_context(connection.running())
            await until_connected(connection)
            yield database, connection

    @asynccontextmanager
    async def relay(
        self, *mechanisms: tuple[str, str], nats_url: str | None = None, **options: Any
    ) -> AsyncGenerator[Relay]:
        """A relay whose turns are the test's to take, unless it is ``running()``."""
        async with self.connected(*mechanisms, nats_url=nats_url) as (database, connection):
            publisher = JetStreamPublisher(connection, stream="ACCOUNTS")
            yield Relay(database, publisher, source=SOURCE, **options)

    async def rename(self, user_id: str, *names: str) -> None:
        """One event for each name, each in a transaction of its own."""
        for name in names:
            async with self.database.transaction() as session:
                await self.world.facade.update_profile(session, user_id, display_name=name)

    async def tell(self, user_id: str, name: str, tenant_id: str | None = None) -> None:
        """An event of any size, and of whoever need not exist."""
        await execute(self.database, _TELL, user=user_id, tenant=tenant_id, name=name)

    async def names(self) -> list[tuple[str, str]]:
        """The renamings in the stream: who, and to what."""
        return [
            (message.data["user_id"], message.data["name"])
            for message in await self.nats.stored()
            if message.subject == "user.profile_updated"
        ]

    async def until_named(self, user_id: str, name: str, *, times: int = 1) -> None:
        async def is_named() -> bool:
            return (await self.names()).count((user_id, name)) >= times

        await until(is_named)

    async def status(self) -> EventBacklog:
        async with self.database.reading() as session:
            return await SqlEventSequencing().status(session)

    async def until_published(self) -> None:
        async def is_published() -> bool:
            return (await self.status()).unpublished == 0

        await until(is_published)


async def until_connected(connection: NatsConnection) -> None:
    async def is_connected() -> bool:
        return connection.is_connected

    await until(is_connected)


async def turn(relay: Relay) -> None:
    """Put everything in line, and publish once."""
    while await relay.sequence_events():
        pass
    await relay.publish()


class RelayProcess:
    """A relay in a process of its own, which has stopped (SIGSTOP) where it was told to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    async def until_stopped(self) -> None:
        async def is_stopped() -> bool:
            assert self._process.poll() is None, "the relay ended"
            return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

        await until(is_stopped)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def relay_process(site: Site, *, before: int = 0, after: int = 0) -> Generator[RelayProcess]:
    """Run one that stops itself before it publishes its nth message, or after its nth acknowledgement."""
    program = Path(__file__).with_name("relay_process.py")
    # -P: the modules beside it are not to be found before the libraries of the same name.
    command = [sys.executable, "-P", str(program), site.url, site.nats.url, str(before), str(after)]
    with subprocess.Popen(command) as process:
        try:
            yield RelayProcess(process)
        finally:
            process.kill()
