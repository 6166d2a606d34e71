"""Orders that another service publishes, and a server that handles them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from nats.js.api import ConsumerConfig
from support.relays import Site
from support.seed import scalar
from support.waiting import until

from hoc.events.inbound import Inbound
from hoc.events.message import Handler, InboundMessage
from hoc.events.nats import NatsConnection

BACKOFF: Final = (0.05, 0.05)
DURABLE: Final = "test-order_placed"


class Orders(list[str]):
    """The handled orders. With ``is_failing``, the handler fails once."""

    is_failing = False

    async def handle(self, _session: Any, message: InboundMessage) -> None:
        if self.is_failing:
            self.is_failing = False
            raise RuntimeError
        self.append(message.data["order"])

    async def until(self, *orders: str) -> None:
        async def came() -> bool:
            return len(self) >= len(orders)

        await until(came)
        assert sorted(self) == sorted(orders)


@asynccontextmanager
async def receiving(
    site: Site, handlers: Mapping[str, Handler], *, url: str | None = None
) -> AsyncGenerator[NatsConnection]:
    async with (
        site.connected(url=url) as (database, connection),
        Inbound(connection, database, handlers, group="test", backoff=BACKOFF).running(),
    ):
        yield connection


async def order(site: Site, number: str, message_id: str | None = None) -> None:
    await site.nats.publish("order.placed", {"order": number}, message_id or number)


async def reasons(site: Site) -> list[str]:
    found: Any = await scalar(site.database, "SELECT array_agg(reason) FROM account.dead_messages")
    return list(found or [])


async def make_consumer(site: Site, *, ack_wait: float) -> None:
    """Create the consumer that `Inbound` would create, with another ``ack_wait``."""
    async with site.nats.jetstream() as jetstream:
        await jetstream.pull_subscribe("order.placed", DURABLE, config=ConsumerConfig(ack_wait=ack_wait))


async def until_acknowledged(site: Site) -> None:
    async def is_acknowledged() -> bool:
        async with site.nats.jetstream() as jetstream:
            info = await jetstream.consumer_info("OTHERS", DURABLE)
        return bool(info.num_ack_pending == 0 and info.num_pending == 0)

    await until(is_acknowledged)
