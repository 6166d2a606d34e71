"""The system under test: PostgreSQL, NATS, two servers and a relay. Each can be killed by itself."""

# nats-py leaves the types of its options open.
# pyright: reportUnknownMemberType=false

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nats
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from pulse import Pulse
from targets import Program, Server, Service

from hoc.concurrency.background import in_background
from hoc.embedded import DataDirectory, EmbeddedNats, EmbeddedPostgres
from hoc.embedded.service import free_port
from hoc.events.nats import SUBJECTS

STREAM: Final = "ACCOUNTS"
# JetStream's minimum, so that it does not hide repeated messages from consumers.
FORGET_DUPLICATES_AFTER_SECONDS: Final = 0.1
DELIVERY_SECONDS: Final = 0.1
WORKERS: Final = (2, 1)  # of each server
_RELAY_SOURCE: Final = "urn:hoc:relay"


@dataclass(frozen=True, slots=True)
class Scene:
    database_url: str
    nats_url: str
    gateway_secret: str
    servers: tuple[Server, ...]
    relay: Program
    postgres: Service
    nats: Service


@asynccontextmanager
async def scene(place: Path, work: Pulse) -> AsyncGenerator[Scene]:
    """Run everything during the block. ``work`` is the pulse that shows that PostgreSQL works."""
    data = DataDirectory(place / "embedded")
    published, relayed = Pulse(), Pulse()
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(data))
        server = stack.enter_context(EmbeddedNats(data))
        database_url, nats_url = postgres.running_url() or "", server.running_url() or ""
        await stack.enter_async_context(_watching(nats_url, published, relayed))
        secret = secrets.token_urlsafe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")} | {
            "HOC_DATABASE_URL": database_url,
            "HOC_NATS_URL": nats_url,
            "HOC_GATEWAY_SECRET": secret,
        }
        servers = tuple(
            Server(
                f"server {number}",
                free_port(),
                *("--workers", str(workers), "--data-dir", place / f"server-{number}"),
                environment=environment,
                log=place / f"server-{number}.log",
            )
            for number, workers in enumerate(WORKERS, start=1)
        )
        relay = Program(
            "relay",
            *("relay", "--data-dir", place / "relay"),
            environment=environment | {"HOC_EVENTS_SOURCE": _RELAY_SOURCE},
            log=place / "relay.log",
            pulse=relayed,
        )
        for program in (*servers, relay):
            await stack.enter_async_context(in_background(program.run, name=program.name))
        yield Scene(
            database_url=database_url,
            nats_url=nats_url,
            gateway_secret=secret,
            servers=servers,
            relay=relay,
            postgres=Service(
                *("PostgreSQL", postgres, data.path / "postgres" / "cluster" / "postmaster.pid"),
                signal.SIGQUIT,
                work,
            ),
            nats=Service(
                *("NATS", server, data.path / "nats" / "nats-server.pid"), signal.SIGKILL, published
            ),
        )


@asynccontextmanager
async def _watching(url: str, published: Pulse, relayed: Pulse) -> AsyncGenerator[None]:
    """Create the stream. Each message beats ``published``, and each of the relay's beats ``relayed`` too."""

    async def received(message: Msg) -> None:
        began = time.monotonic() - DELIVERY_SECONDS
        published.beat(began)
        if (message.headers or {}).get("ce-source") == _RELAY_SOURCE:
            relayed.beat(began)

    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_expected, connect_timeout=1
    )
    try:
        await client.jetstream().add_stream(
            StreamConfig(STREAM, subjects=SUBJECTS, duplicate_window=FORGET_DUPLICATES_AFTER_SECONDS)
        )
        for subject in SUBJECTS:
            await client.subscribe(subject, cb=received)
        yield
    finally:
        await asyncio.wait_for(client.close(), 10)


async def _expected(_problem: Exception) -> None:
    """Ignore it, because NATS is killed all the time."""
