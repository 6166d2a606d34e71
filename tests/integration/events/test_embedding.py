"""A backend's own handlers, in the application as a backend mounts it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from support.pgbouncer import through
from support.postgres import POOLER
from support.relays import Site
from support.seed import execute, scalar
from support.waiting import until

from hoc.asgi import Accounts
from hoc.events.message import InboundMessage
from hoc.settings import Settings

ORDERS = "CREATE TABLE public.orders (number text PRIMARY KEY, tenant_id text)"
PLACED = text("INSERT INTO public.orders VALUES (:number, :tenant_id)")
KNOWN = "SELECT array_agg(number ORDER BY number) FROM public.orders"


async def test_a_backends_handler_commits_with_its_own_rows(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler's calls of hoc commit with them too. A handler that fails leaves neither."""
    monkeypatch.setattr("hoc.events.inbound.BACKOFF_SECONDS", ())
    tenant_id, _ = await site.world.tenant()
    await execute(site.database, ORDERS)

    async def on_order(session: Any, message: InboundMessage) -> None:
        number = message.data["number"]
        await session.execute(PLACED, {"number": number, "tenant_id": tenant_id})
        await accounts.facade.projects.advance_onboarding(session, tenant_id, int(number))
        if message.data.get("is_bad"):
            raise RuntimeError

    settings = Settings(
        database_url=SecretStr(through(site.url)),
        pooler=POOLER,
        nats_url=SecretStr(site.nats.url),
        nats_inbound_stream="OTHERS",
        data_dir=tmp_path / "data",
    )
    accounts = Accounts(settings, handlers={"order.placed": on_order})
    async with accounts.lifespan():

        async def is_received() -> bool:
            return await has_consumer(site)

        await until(is_received)
        await site.nats.publish("order.placed", {"number": "1"}, "first")
        await site.nats.publish("order.placed", {"number": "2", "is_bad": True}, "second")

        async def is_done() -> bool:
            return await reached(site) == [1] and await scalar(site.database, KNOWN) == ["1"]

        await until(is_done)


async def has_consumer(site: Site) -> bool:
    async with site.nats.jetstream() as jetstream:
        streams = await jetstream.streams_info()
    return any("order.placed" in stream.config.subjects for stream in streams)


async def reached(site: Site) -> list[int]:
    """The onboarding steps in the stream, whose events hoc wrote within the handler."""
    return [
        message.data["onboarding_state"]
        for message in await site.nats.stored()
        if message.subject == "tenant.onboarding_advanced"
    ]
