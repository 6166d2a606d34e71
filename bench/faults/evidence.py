"""The evidence at the end: the database, the log of events, and the stream."""

# nats-py leaves the types of its options open.
# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import nats
import orjson
from chaos import patience
from ledger import Ledger, number_in
from nats.js.api import AckPolicy, ConsumerConfig

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.wiring import open_database

BATCH: Final = 1_000
POLL_SECONDS: Final = 0.1

_TRACES: Final = """
    SELECT user_id, 'v0' FROM account.users
    UNION ALL SELECT user_id, jsonb_object_keys(preferences) FROM account.users
    UNION ALL SELECT tenant_id, subject FROM account.support_tickets
    UNION ALL SELECT tenant_id, email FROM account.invitations"""
_USERS: Final = "SELECT user_id, name, is_active, deleted_at IS NOT NULL, version FROM account.users"
_ROLES: Final = "SELECT tenant_id, role, version FROM account.memberships WHERE role <> 'owner'"
_LEFT: Final = "SELECT (SELECT count(*) FROM account.outbox) + (SELECT count(*) FROM account.dead_events)"


@dataclass(frozen=True, slots=True)
class StoredUser:
    name: str
    is_active: bool
    is_deleted: bool
    version: int


@dataclass(frozen=True, slots=True)
class Streamed:
    """A message as a consumer receives it."""

    event_id: str
    sequence: int
    type: str
    data: dict[str, Any]

    @property
    def content(self) -> tuple[int, str, dict[str, Any]]:
        return self.sequence, self.type, self.data


@dataclass(frozen=True, slots=True)
class Evidence:
    """``traces``: key and number of each write whose mark is in the database.

    ``roles``: for each tenant the role and version of its only member besides the owner. ``log`` is ordered
    by sequence, ``stream`` as in the stream. ``left``: the number of events that are not sequenced, or dead.
    """

    ledger: Ledger
    traces: frozenset[tuple[str, int]]
    users: dict[str, StoredUser]
    roles: dict[str, tuple[str, int]]
    log: tuple[EventResult, ...]
    stream: tuple[Streamed, ...]
    left: int


async def all_published(database_url: str) -> None:
    """Wait until every event is published."""
    database, sequencing = open_database(database_url), SqlEventSequencing()
    try:
        async with patience("Events stay unpublished."):
            while True:
                async with database.reading() as session:
                    if not (await sequencing.status(session)).unpublished:
                        return
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await database.close()


async def collect(ledger: Ledger, database_url: str, nats_url: str, stream: str) -> Evidence:
    """Collect it once every event is published, and anew if mails that are still sent record others."""
    await all_published(database_url)
    while True:
        evidence = await _collected(ledger, database_url, nats_url, stream)
        await all_published(database_url)
        if not await _log(database_url, after=_end(evidence.log)):
            return evidence


async def _collected(ledger: Ledger, database_url: str, nats_url: str, stream: str) -> Evidence:
    connection = await asyncpg.connect(database_url)
    try:
        traces = await connection.fetch(_TRACES)
        users = await connection.fetch(_USERS)
        roles = await connection.fetch(_ROLES)
        left = await connection.fetchval(_LEFT)
    finally:
        await connection.close()
    return Evidence(
        ledger=ledger,
        traces=frozenset((key, number_in(mark)) for key, mark in traces),
        users={user_id: StoredUser(*values) for user_id, *values in users},
        roles={tenant_id: (role, version) for tenant_id, role, version in roles},
        log=await _log(database_url),
        stream=await _stream(nats_url, stream),
        left=left,
    )


async def _log(database_url: str, *, after: int = 0) -> tuple[EventResult, ...]:
    database = open_database(database_url)
    sequencing = SqlEventSequencing()
    events: list[EventResult] = []
    try:
        async with database.reading() as session:
            while found := await sequencing.next(session, _end(events) or after, BATCH):
                events += found
    finally:
        await database.close()
    return tuple(events)


def _end(log: Sequence[EventResult]) -> int:
    """The last sequence, 0 of an empty log."""
    return (log[-1].sequence or 0) if log else 0


async def _stream(url: str, name: str) -> tuple[Streamed, ...]:
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream(timeout=30)
        consumer = await jetstream.add_consumer(name, ConsumerConfig(ack_policy=AckPolicy.NONE))
        pull = await jetstream.pull_subscribe_bind(consumer.name, name)
        messages: list[Streamed] = []
        while len(messages) < (consumer.num_pending or 0):
            for message in await pull.fetch(BATCH):
                headers = message.headers or {}
                messages.append(
                    Streamed(
                        event_id=headers["Nats-Msg-Id"],
                        sequence=int(headers["ce-sequence"]),
                        type=message.subject,
                        data=orjson.loads(message.data),
                    )
                )
        return tuple(messages)
    finally:
        await client.close()
