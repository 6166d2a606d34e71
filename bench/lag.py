"""The time from an event until it is in the stream, and at a subscriber, at a steady rate of events."""

# nats-py leaves the types of its options open.
# pyright: reportUnknownMemberType=false

import asyncio
import multiprocessing
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, TypeAlias

from drain import STREAM, Servers, jetstream_of, opened, relaying, remake_stream
from nats.aio.msg import Msg

from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.cus.account.wiring import create_account_service
from hoc.events.wakeups import CommitNotifier

PATIENCE_SECONDS: Final = 60
WARM_UP_SECONDS: Final = 3
_SUBJECT: Final = "user.created"

Writer: TypeAlias = Callable[[int], Coroutine[Any, Any, None]]


class Way(StrEnum):
    BARE = "bare nats-py"
    NOTIFY = "hoc relay"
    POLLING = "hoc relay, NOTIFY off"


@dataclass(slots=True)
class Lags:
    """For each event the seconds from its time until it was stored, and until it was received."""

    stored: list[float] = field(default_factory=list[float])
    received: list[float] = field(default_factory=list[float])

    async def receive(self, message: Msg) -> None:
        now = datetime.now(UTC)
        happened = datetime.fromisoformat((message.headers or {})["ce-time"])
        self.stored.append((message.metadata.timestamp - happened).total_seconds())
        self.received.append((now - happened).total_seconds())

    def without_first(self, count: int) -> "Lags":
        return Lags(self.stored[count:], self.received[count:])


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]


async def lag(servers: Servers, place: Path, way: Way, *, rate: int, seconds: int) -> tuple[Lags, float]:
    """Return the lags at ``rate`` events per second, and how many per second were actually written."""
    lags = Lags()
    warm_up = rate * WARM_UP_SECONDS
    count = warm_up + rate * seconds
    async with jetstream_of(servers) as jetstream:
        await remake_stream(jetstream)
        await jetstream.subscribe(_SUBJECT, stream=STREAM, ordered_consumer=True, cb=lags.receive)
        with (
            relaying(servers, place),
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as another,
        ):
            writing = asyncio.get_running_loop().run_in_executor(another, write, servers, way, rate, count)
            taken = await writing
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(lags.received) < count:  # noqa: ASYNC110 - polled, so that the receiver has no more work
                    await asyncio.sleep(0.1)
    return lags.without_first(warm_up), count / taken


def write(servers: Servers, way: Way, rate: int, count: int) -> float:
    """Write that many events at that rate, in this process. Returns the seconds that it took."""
    return asyncio.run(_write(servers, way, rate, count))


async def _write(servers: Servers, way: Way, rate: int, count: int) -> float:
    loop = asyncio.get_running_loop()
    async with _publishing(servers) if way is Way.BARE else _registering(servers, way) as writer:
        began = loop.time()
        async with asyncio.TaskGroup() as writes:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                writes.create_task(writer(number))
        return loop.time() - began


@asynccontextmanager
async def _registering(servers: Servers, way: Way) -> AsyncGenerator[Writer]:
    """Give a function that creates a new account by the library, as the server does."""
    async with opened(servers) as database:
        accounts = create_account_service(database)
        notifier = CommitNotifier(database)
        if way is Way.NOTIFY:
            database.after_write(notifier.notify)

        async def register(number: int) -> None:
            user_id = f"{way.name}-{number}".lower()
            await accounts.ensure_account(
                AccountEnsureRequest(user_id, f"{user_id}@example.com", f"Person {number}")
            )

        async with notifier.running():
            yield register


@asynccontextmanager
async def _publishing(servers: Servers) -> AsyncGenerator[Writer]:
    """Give a function that publishes the message of such an event directly, without a database."""
    async with jetstream_of(servers) as jetstream:

        async def publish(number: int) -> None:
            user_id = f"bare-{number}"
            now = datetime.now(UTC).isoformat()
            data = (
                f'{{"user_id":"{user_id}","email":"{user_id}@example.com","name":"Person {number}",'
                f'"subscription_plan":"free","created_at":"{now}"}}'
            )
            headers = {"Nats-Msg-Id": str(uuid.uuid4()), "ce-time": now}
            await jetstream.publish(_SUBJECT, data.encode(), headers=headers)

        yield publish
