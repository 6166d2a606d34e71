"""A primary and its synchronous standby, three NATS, two servers with two workers each, and two relays."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulse import Pulse
from support.nats import NatsServer, nats_cluster
from support.own_postgres import OwnPostgres, own_postgres, standby_of
from support.replicated import superuser
from support.waiting import until
from targets import Program, Server

from hoc.concurrency.background import in_background
from hoc.embedded.service import free_port
from hoc.migrations import migrate

WORKERS: Final = 2
_ADMITTED: Final = (
    "host all,replication postgres 127.0.0.1/32 trust",
    "host all hoc 127.0.0.1/32 scram-sha-256",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """``database_url`` names both PostgreSQL servers, and leads to the one that takes writes."""

    primary: OwnPostgres
    standby: OwnPostgres
    database_url: str
    nats: dict[str, NatsServer]
    gateway_secret: str
    servers: tuple[Server, ...]
    relays: tuple[Program, ...]

    async def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        await asyncio.to_thread(self.primary.control, "stop", "--mode=immediate")
        await superuser(self.standby, "SELECT pg_promote()")


@asynccontextmanager
async def scene(place: Path) -> AsyncGenerator[Scene]:
    async with AsyncExitStack() as stack:
        primary = stack.enter_context(own_postgres(place / "data"))
        primary.admit(*_ADMITTED)
        await migrate(primary.url)
        standby = stack.enter_context(standby_of(primary))
        await superuser(
            primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
        )
        await until(
            lambda: superuser(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
        )
        (place / "nats").mkdir()
        nats = stack.enter_context(nats_cluster(place / "nats"))
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://hoc:{primary.password}@{hosts}/hoc?target_session_attrs=read-write"
        secret = secrets.token_urlsafe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")} | {
            "HOC_DATABASE_URL": url,
            "HOC_NATS_URL": ",".join(server.url for server in nats.values()),
            "HOC_NATS_REPLICAS": str(len(nats)),
            "HOC_GATEWAY_SECRET": secret,
        }
        servers = tuple(
            Server(
                f"server {number}",
                free_port(),
                *("--workers", str(WORKERS), "--data-dir", place / f"server-{number}"),
                environment=environment,
                log=place / f"server-{number}.log",
            )
            for number in (1, 2)
        )
        relays = tuple(
            Program(
                f"relay {number}",
                *("relay", "--data-dir", place / f"relay-{number}"),
                environment=environment,
                log=place / f"relay-{number}.log",
                pulse=Pulse(),
            )
            for number in (1, 2)
        )
        for program in (*servers, *relays):
            await stack.enter_async_context(in_background(program.run, name=program.name))
        yield Scene(primary, standby, url, nats, secret, servers, relays)
