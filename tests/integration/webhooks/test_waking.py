"""Endpoints are woken for each event, also while their turns end."""

import asyncio

from support.races import WAITING_FOR_LOCKS
from support.seed import scalar
from support.waiting import until
from support.webhook_sending import happen
from support.webhooks import URL, Deliverer
from support.world import PostgresWorld

from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.L6_drivers.webhook_leases import SqlWebhookLeases

LEASES = SqlWebhookLeases()
ASLEEP = "SELECT count(*) FROM account.webhook_endpoints WHERE tenant_id = :tenant_id AND due_at IS NULL"


async def wake(world: PostgresWorld) -> None:
    async with world.database.reading() as session:
        await LEASES.wake(session, 1_000)


async def test_an_endpoint_whose_turn_ends_while_it_is_woken_is_due_again(world: PostgresWorld) -> None:
    async def is_waiting() -> bool:
        return bool(await scalar(world.database, f"SELECT ({WAITING_FOR_LOCKS}) = 1"))

    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        made = [
            await world.engines.webhooks.create(
                session, tenant_id, owner, url=URL, event_types=["tenant.quotas_changed"]
            )
            for _ in range(3)
        ]
    for quota, ending in enumerate(made, start=1):
        leased = [await Deliverer(world).lease(tenant_id, each.endpoint_id) for each in made]
        await wake(world)
        await happen(world, tenant_id, range(quota, quota + 1))
        async with world.transaction() as session:
            await SqlEventSequencing().sequence_events(session, 1_000)
        [turn] = [each for each in leased if each.endpoint_id == ending.endpoint_id]
        async with world.transaction() as session:
            await LEASES.release(session, turn, retry_at=None, is_due=False)
            waking = asyncio.create_task(wake(world))
            await until(is_waiting)
        await waking
        assert await scalar(world.database, ASLEEP, tenant_id=tenant_id) == 0
