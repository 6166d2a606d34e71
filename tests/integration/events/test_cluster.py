"""A stream on three servers loses nothing when one of them is killed."""

import asyncio
from pathlib import Path
from typing import Any

from support.nats import STREAM, nats_cluster
from support.relays import SOURCE, Site
from support.seed import execute, scalar
from support.waiting import PATIENCE_SECONDS, until

from hoc.concurrency.background import in_background
from hoc.database import Database
from hoc.events.nats import JetStreamPublisher
from hoc.events.relay import Relay

_WRITE = """
    INSERT INTO account.outbox (type, time, tenant_id, payload)
        SELECT 'ticket.created', now(), 'tenant-' || number % 2, '{}' FROM generate_series(1, 20) AS number"""


async def test_a_replicated_stream_outlives_its_leader(
    fresh_database_url: str, fresh_database: Database, tmp_path: Path
) -> None:
    """Its leader is killed while events are published; the relay goes on with the others."""
    with nats_cluster(tmp_path) as servers:
        first = next(iter(servers.values()))
        site = Site(fresh_database_url, first, fresh_database)
        urls = ",".join(server.url for server in servers.values())
        written = 0

        async def write() -> None:
            nonlocal written
            while True:
                await execute(fresh_database, _WRITE)
                written += 20
                await asyncio.sleep(0.1)

        async with site.connected(nats_url=urls) as (database, connection):
            publisher = JetStreamPublisher(connection, stream=STREAM, replicas=3)
            relay = Relay(database, publisher, source=SOURCE, poll_seconds=0.05)

            async def are_published(count: int) -> bool:
                status = await site.status()
                return written - status.unpublished >= count

            async with relay.running():
                async with in_background(write, name="load"):
                    await until(lambda: are_published(40))
                    client: Any = connection.client  # parts of it have no types
                    info = await client.jetstream(timeout=PATIENCE_SECONDS).stream_info(STREAM)
                    assert info.config.num_replicas == 3
                    assert info.cluster is not None
                    leader = servers.pop(info.cluster.leader or "")
                    leader.stop()
                    killed_after = written
                    await until(lambda: are_published(killed_after + 40))
                await site.until_published()
        survivor = next(iter(servers.values()))
        stored = [
            (message.headers["ce-subject"], int(message.headers["ce-sequence"]))
            for message in await survivor.stored()
        ]
        # The last writing may have been committed although it was cancelled.
        committed: Any = await scalar(fresh_database, "SELECT count(*) FROM account.events")
        assert committed >= written
        assert sorted(sequence for _, sequence in stored) == list(range(1, committed + 1))
        # Where a server gave no answer in time, the other tenant's events go on.
        for tenant in ("tenant-0", "tenant-1"):
            of_tenant = [sequence for subject, sequence in stored if subject == tenant]
            assert of_tenant == sorted(of_tenant)
