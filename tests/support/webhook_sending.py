"""Senders of webhooks that really send, to receivers on loopback."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

from support.receiver import Receiver
from support.world import PostgresWorld, RealClock

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.webhooks import WebhookSecretResult
from hoc.cus.account.wiring import webhook_deliveries
from hoc.database import Database
from hoc.events.relay import Relay
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.connecting import SystemResolver, connection_pools
from hoc.webhooks.sender import WebhookSender

LOOPBACK = (ip_network("127.0.0.0/8"),)
OPTIONS = Options(webhook_networks=LOOPBACK)


def webhook_world(database: Database) -> PostgresWorld:
    """A world whose endpoints may be on loopback."""
    world = PostgresWorld(database, RealClock())
    world.engines = world.engines_with(OPTIONS)
    return world


def new_sender(database: Database) -> WebhookSender:
    def client() -> WebhookClient:
        return WebhookClient(connection_pools(SystemResolver(), LOOPBACK), "urn:hoc:test")

    return WebhookSender(database, webhook_deliveries(OPTIONS), client)


@asynccontextmanager
async def sending(database: Database, senders: int = 1) -> AsyncGenerator[None]:
    """Number events, and send them, until the end of the block."""
    running = [new_sender(database) for _ in range(senders)]

    def wake() -> None:
        for each in running:
            each.wake()

    relay = Relay(database, None, source="urn:hoc:test", poll_seconds=0.02, on_numbered=wake)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay.running())
        for each in running:
            await stack.enter_async_context(each.running())
        yield


async def endpoint(
    world: PostgresWorld, tenant_id: str | None, owner: str, taking: Receiver
) -> WebhookSecretResult:
    async with world.transaction() as session:
        return await world.engines.webhooks.create(
            session, tenant_id, owner, url=taking.url(), event_types=["tenant.quotas_changed"]
        )


async def happen(world: PostgresWorld, tenant_id: str, quotas: range) -> None:
    for quota in quotas:
        async with world.transaction() as session:
            await world.engines.projects.override_quotas(session, tenant_id, max_workers=quota)


def quotas_of(taking: Receiver) -> list[int]:
    return [each.event["data"]["max_workers"] for each in taking.requests]


async def has(count: int, taking: Receiver) -> bool:
    return len(taking.requests) >= count
