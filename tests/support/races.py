"""Concurrency on purpose: requests released together, transactions that meet at a lock.

Two cores rarely hit a race by luck. `Meeting` makes it certain: a third connection holds a lock until every
contender waits, so that each has done its checks before any of them may write.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import orjson
from support.statements import change_statements
from support.waiting import until

from hoc.database import Database

T = TypeVar("T")

WAITING_FOR_LOCKS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
WAITING_ON_EACH_NODE = f"SELECT sum(result::int) FROM run_command_on_all_nodes($${WAITING_FOR_LOCKS}$$)"


@dataclass(frozen=True, slots=True)
class Request:
    port: int
    method: str
    path: str
    token: str | None = None
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        """The request in HTTP/1.1; the server closes the connection after its answer."""
        content = b"" if self.body is None else orjson.dumps(self.body)
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any


async def race(requests: Sequence[Request]) -> list[Answer]:
    """Send every request on a connection of its own; their last bytes leave together."""
    streams = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", r.port) for r in requests))
    encoded = [request.encoded() for request in requests]
    for (_, writer), content in zip(streams, encoded, strict=True):
        writer.write(content[:-1])
    await asyncio.gather(*(writer.drain() for _, writer in streams))
    for (_, writer), content in zip(streams, encoded, strict=True):
        writer.write(content[-1:])
    received = await asyncio.gather(*(reader.read() for reader, _ in streams))
    for _, writer in streams:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in streams))
    return [_answer(content) for content in received]


def _answer(content: bytes) -> Answer:
    head, _, body = content.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]), orjson.loads(body))


class Meeting:
    """Holds transactions back until all that were started wait for a lock."""

    def __init__(self, holder: asyncpg.Connection, observer: asyncpg.Connection, waiting: str) -> None:
        self._holder = holder
        self._observer = observer
        self._count = waiting
        self._tasks: list[asyncio.Task[Any]] = []

    async def join(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start ``work``. Returns its task once that waits behind the earlier ones, or is done already."""
        task = asyncio.create_task(work)
        self._tasks.append(task)

        async def waits() -> bool:
            return await self._waiting() >= sum(not each.done() for each in self._tasks)

        await until(waits)
        return task

    async def release(self) -> None:
        """Let all go on before the block ends."""
        await self._holder.execute("ROLLBACK")

    async def _waiting(self) -> int:
        waiting: int = await self._observer.fetchval(self._count)
        return waiting


@asynccontextmanager
async def meeting(database_url: str, lock: str, *values: object) -> AsyncGenerator[Meeting]:
    """Hold what ``lock`` locks until the end of the block, then undo it."""
    holder = await asyncpg.connect(database_url)
    observer = await asyncpg.connect(database_url)
    try:
        is_citus = await observer.fetchval("SELECT to_regclass('pg_dist_node') IS NOT NULL")
        await holder.execute("BEGIN")
        await holder.execute(lock, *values)
        yield Meeting(holder, observer, WAITING_ON_EACH_NODE if is_citus else WAITING_FOR_LOCKS)
    finally:
        await holder.close()  # and with it the transaction
        await observer.close()


def rewrite(database: Database, *changes: tuple[str, str]) -> None:
    """From now on, replace these patterns in every statement that the database sends."""

    def changed(sql: str) -> str:
        for pattern, replacement in changes:
            sql = re.sub(pattern, replacement, sql)
        return sql

    change_statements(database, changed)
