"""How fast a backlog of events drains: sequenced, published, both by `hoc relay`, and by a bare client."""

# nats-py leaves the types of its options open.
# pyright: reportUnknownMemberType=false

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import nats
from accounts_file import write_accounts
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import NotFoundError

from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.events.message import Message, message_of
from hoc.events.nats import SUBJECTS, JetStreamPublisher, NatsConnection
from hoc.events.relay import BATCH, Relay

HOC: Final = Path(sys.executable).with_name("hoc")
STREAM: Final = "ACCOUNTS"
SOURCE: Final = "urn:hoc:bench"
POLL_SECONDS: Final = 0.02

MOVE_BACK_TO_OUTBOX: Final = """
    INSERT INTO account.outbox (event_id, type, time, tenant_id, user_id, actor, payload)
        SELECT event_id, type, time, tenant_id, user_id, actor, payload FROM account.events ORDER BY sequence;
    TRUNCATE account.events;
    UPDATE account.event_cursors SET sequence = 0"""
OF_ONE_TENANT: Final = """
    UPDATE account.events SET tenant_id = 'one';
    UPDATE account.event_cursors SET sequence = 0 WHERE name = 'nats'"""
OF_NO_TENANT: Final = "UPDATE account.events SET tenant_id = NULL"
ONE_BY_ONE: Final = 2_000
PUBLISHED: Final = "SELECT sequence FROM account.event_cursors WHERE name = 'nats'"


@dataclass(frozen=True, slots=True)
class Servers:
    database_url: str
    nats_url: str

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}
        return kept | {"HOC_DATABASE_URL": self.database_url, "HOC_NATS_URL": self.nats_url}


async def drain(servers: Servers, place: Path, count: int, *, seed: int) -> dict[str, float]:
    """Return the events per second of each way; ValueError if one of them handled fewer events.

    The events are those of imported accounts.
    """
    await asyncio.to_thread(_import, servers, place / "accounts.csv", count, seed)
    await settle(servers.database_url)
    seconds = {"sequencing, alone": await _sequence(servers)}
    messages = await _messages(servers)
    _require(len(messages), count)
    async with jetstream_of(servers) as jetstream:
        await remake_stream(jetstream)
        seconds["bare nats-py"] = await _publish_bare(jetstream, messages)
        _require(await _stored(jetstream), count)
        await remake_stream(jetstream)
        seconds["publishing, alone"] = await _publish(servers)
        _require(await _stored(jetstream), count)
        await remake_stream(jetstream)
        few = messages[:ONE_BY_ONE]
        one_by_one = len(few) / await _publish_bare(jetstream, few, at_once=1)
        await remake_stream(jetstream)
        await _execute(servers.database_url, OF_ONE_TENANT)
        seconds["one tenant, publishing"] = await _publish(servers)
        _require(await _stored(jetstream), count)
        await _execute(servers.database_url, OF_NO_TENANT)
        await remake_stream(jetstream)
        await _execute(servers.database_url, MOVE_BACK_TO_OUTBOX)
        await settle(servers.database_url)
        rate = await _relay(servers, place, count)
        _require(await _stored(jetstream), count)
    rates = {name: count / taken for name, taken in seconds.items()}
    return rates | {"hoc relay": rate, "one tenant, bare, 1 by 1": one_by_one}


def _require(done: int, count: int) -> None:
    """Raise ValueError, because less work would look like more speed."""
    if done != count:
        raise ValueError(f"Only {done:,} of {count:,} events were handled.")


async def _stored(jetstream: JetStreamContext) -> int:
    return (await jetstream.stream_info(STREAM)).state.messages


def _import(servers: Servers, file: Path, count: int, seed: int) -> None:
    write_accounts(file, count, seed=seed)
    subprocess.run([HOC, "import", file], env=servers.environment(), check=True)


async def _sequence(servers: Servers) -> float:
    async with opened(servers) as database:
        relay = Relay(database, None, source=SOURCE)
        began = time.perf_counter()
        while await relay.sequence_events():
            pass
        return time.perf_counter() - began


async def _publish(servers: Servers) -> float:
    connection = NatsConnection(servers.nats_url)
    async with opened(servers) as database, connection.running():
        relay = Relay(database, JetStreamPublisher(connection, stream=STREAM), source=SOURCE)
        while not connection.is_connected:  # noqa: ASYNC110 - it offers no event to wait for
            await asyncio.sleep(POLL_SECONDS)
        began = time.perf_counter()
        while await relay.publish():
            pass
        return time.perf_counter() - began


async def _publish_bare(
    jetstream: JetStreamContext, messages: list[Message], *, at_once: int = BATCH
) -> float:
    """Publish as many at once as the relay does, and await each acknowledgement, without a database."""
    began = time.perf_counter()
    for start in range(0, len(messages), at_once):
        await asyncio.gather(
            *(
                jetstream.publish(message.subject, message.data, headers=dict(message.headers))
                for message in messages[start : start + at_once]
            )
        )
    return time.perf_counter() - began


async def _relay(servers: Servers, place: Path, count: int) -> float:
    """Return the events per second that a relay process publishes, from its first event to its last."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        with relaying(servers, place):
            first = await _published(connection, 1)
            began = time.perf_counter()
            await _published(connection, count)
            return (count - first) / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _published(connection: asyncpg.Connection, wanted: int) -> int:
    """Wait until that many events are published. Returns how many are."""
    while (published := int(await connection.fetchval(PUBLISHED))) < wanted:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(POLL_SECONDS)
    return published


async def _messages(servers: Servers) -> list[Message]:
    sequencing, messages = SqlEventSequencing(), list[Message]()
    async with opened(servers) as database, database.reading() as session:
        while found := await sequencing.next(session, len(messages), 10_000):
            messages += [message_of(event, SOURCE) for event in found]
    return messages


@contextmanager
def relaying(servers: Servers, place: Path) -> Generator[None]:
    """Run `hoc relay` during the block."""
    command: list[str | Path] = [HOC, "relay", "--data-dir", place / "relay"]
    with (
        (place / "relay.log").open("ab") as log,
        subprocess.Popen(command, env=servers.environment(), stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


@asynccontextmanager
async def opened(servers: Servers) -> AsyncGenerator[Database]:
    database = open_database(servers.database_url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def jetstream_of(servers: Servers) -> AsyncGenerator[JetStreamContext]:
    client = await nats.connect(servers.nats_url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def remake_stream(jetstream: JetStreamContext) -> None:
    """Replace the stream by an empty one that has seen no event id, configured as hoc does."""
    with suppress(NotFoundError):
        await jetstream.delete_stream(STREAM)
    await jetstream.add_stream(StreamConfig(STREAM, subjects=SUBJECTS, storage=StorageType.FILE))


async def settle(database_url: str) -> None:
    """Do now what autovacuum would do later."""
    await _execute(database_url, "VACUUM (ANALYZE) account.outbox")


async def _execute(database_url: str, statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
