"""Webhooks are really sent: signed, in order, by one sender at a time, and repeated after a failure."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text
from standardwebhooks import Webhook
from support.receiver import Received, receiver
from support.seed import execute, scalar
from support.waiting import until
from support.webhook_sending import LOOPBACK, endpoint, happen, has, quotas_of, sending
from support.webhooks import Deliverer
from support.world import PostgresWorld

from hoc.cus.account.L6_drivers.webhook_leases import SqlWebhookLeases
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.connecting import SystemResolver, connection_pools

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_an_event_arrives_signed_as_cloudevents_json(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    async with receiver() as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(7, 8))
        await until(lambda: has(1, taking))
    [request] = taking.requests
    assert Webhook(made.secret).verify(request.body, request.headers) == request.event
    [event] = [e for e in await world.events(tenant_id=tenant_id) if e.type == "tenant.quotas_changed"]
    assert request.event_id == request.event["id"] == event.event_id
    assert (request.event["specversion"], request.event["source"]) == ("1.0", "urn:hoc:test")
    assert request.event["data"] == event.data
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert set(request.headers) == {
        "host",
        "content-length",
        "content-type",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }


async def test_an_event_of_before_the_endpoint_that_has_no_number_yet_is_sent(world: PostgresWorld) -> None:
    """It is sent rather than lost: by their numbers, it cannot be told from one that comes after."""
    tenant_id, owner = await world.tenant()
    await happen(world, tenant_id, range(1, 2))
    async with receiver() as taking:
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(2, 3))
        async with sending(world.database):
            await until(lambda: has(2, taking))
    assert quotas_of(taking) == [1, 2]


async def test_a_tenants_events_come_one_after_the_other(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()

    async def slowly(_received: Received) -> int:
        await asyncio.sleep(0.005)
        return 200

    async with receiver(slowly) as taking, sending(world.database, senders=3):
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 31))
        await until(lambda: has(30, taking))
    assert quotas_of(taking) == list(range(1, 31))
    assert taking.at_once == 1


async def test_the_deployment_gets_tenants_events_at_once(world: PostgresWorld) -> None:
    tenants = [(await world.tenant())[0] for _ in range(4)]
    everybody_waits = asyncio.Barrier(4)

    async def together(_received: Received) -> int:
        await everybody_waits.wait()
        return 200

    async with receiver(together) as taking:
        await endpoint(world, None, "operator", taking)
        for quota in range(1, 4):
            for tenant_id in tenants:
                await happen(world, tenant_id, range(quota, quota + 1))
        async with sending(world.database):
            await until(lambda: has(12, taking))
    for tenant_id in tenants:
        of_tenant = [each.event["data"] for each in taking.requests if each.event["subject"] == tenant_id]
        assert [data["max_workers"] for data in of_tenant] == [1, 2, 3]


async def test_a_users_events_come_in_order_across_tenants(world: PostgresWorld) -> None:
    """The deployment's endpoint is sent them one after the other, though their tenants differ."""
    owner = await world.add_user()

    async def slowly(_received: Received) -> int:
        await asyncio.sleep(0.05)
        return 200

    async with receiver(slowly) as taking:
        async with world.transaction() as session:
            await world.engines.webhooks.create(
                session, None, "operator", url=taking.url(), event_types=["member.joined"]
            )
        tenants = [(await world.tenant(owner))[0] for _ in range(3)]
        async with sending(world.database):
            await until(lambda: has(3, taking))
    assert [each.event["data"]["tenant_id"] for each in taking.requests] == tenants
    assert taking.at_once == 1


async def test_a_failed_event_is_repeated_before_the_next(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    answers = iter([500, 200, 200])
    async with receiver(lambda _received: next(answers)) as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 3))
        await until(lambda: has(3, taking))

        async def settled() -> bool:
            async with world.reading() as session:
                found = await world.engines.webhooks.get(session, tenant_id, owner, made.endpoint_id)
            return found.value.next_attempt_at is None

        await until(settled)
        async with world.reading() as session:
            listed = await world.engines.webhooks.list_attempts(session, tenant_id, owner, made.endpoint_id)
    assert quotas_of(taking) == [1, 1, 2]
    assert taking.ids[0] == taking.ids[1] != taking.ids[2]
    assert [each.status_code for each in listed.value.attempts] == [200, 200, 500]


async def test_a_refused_event_lets_those_behind_it_flow(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()

    def refuse_first(received: Received) -> int:
        return 400 if received.event["data"]["max_workers"] == 1 else 200

    async with receiver(refuse_first) as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 4))

        async def have_come() -> bool:
            # Rather than wait for the pauses between attempts.
            await execute(
                world.database,
                "UPDATE account.webhook_endpoints SET due_at = now()"
                " WHERE leased_by IS NULL AND due_at > now()",
            )
            return len(taking.requests) >= 12

        await until(have_come)

        async def aside() -> int:
            async with world.reading() as session:
                found = await world.engines.webhooks.list_set_aside(
                    session, tenant_id, owner, made.endpoint_id
                )
            return found.value.total

        await until(aside)
    assert quotas_of(taking) == [1] * 10 + [2, 3]


async def test_what_is_asked_for_by_hand_is_sent_once(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    async with receiver() as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 3))
        await until(lambda: has(2, taking))
        webhooks = world.engines.webhooks

        async def tried() -> bool:
            async with world.reading() as session:
                page = await webhooks.list_attempts(session, tenant_id, owner, made.endpoint_id)
            return len(page.value.attempts) >= 2

        await until(tried)
        async with world.transaction() as session:
            await webhooks.update(session, tenant_id, owner, made.endpoint_id, enabled=False)
            await webhooks.send_again(session, tenant_id, owner, made.endpoint_id, taking.ids[0])
            test = await webhooks.send_test(session, tenant_id, owner, made.endpoint_id)
        await until(lambda: has(4, taking))
    assert set(taking.ids[2:]) == {taking.ids[0], test.event_id}
    [sent] = [each.event for each in taking.requests if each.event_id == test.event_id]
    assert (sent["type"], sent["data"]["endpoint_id"]) == ("webhook.test", made.endpoint_id)


async def test_a_dead_endpoint_delays_no_other(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    forever = asyncio.Event()

    async def never(_received: Received) -> int:
        await forever.wait()
        return 200

    async with receiver(never) as silent, receiver() as taking, sending(world.database):
        for _ in range(20):
            await endpoint(world, tenant_id, owner, silent)
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 4))
        await until(lambda: has(3, taking))
        assert silent.under_way == 20
        forever.set()


async def test_no_transaction_is_open_while_an_event_is_sent(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    held, arrived = asyncio.Event(), asyncio.Event()

    async def hold(_received: Received) -> int:
        arrived.set()
        await held.wait()
        return 200

    async with receiver(hold) as taking, sending(world.database):
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 2))
        await arrived.wait()
        idle = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in%'"
        )

        async def none_is_open() -> bool:
            return await scalar(world.database, idle) == 0

        await until(none_is_open)
        held.set()


async def test_a_lost_lease_is_taken_over(world: PostgresWorld) -> None:
    """As after the kill of a sender: the row says that another has it, until a time that has passed."""
    tenant_id, owner = await world.tenant()
    async with receiver() as taking:
        await endpoint(world, tenant_id, owner, taking)
        await execute(
            world.database,
            "UPDATE account.webhook_endpoints SET leased_by = 'killed', due_at = now() + interval '1 hour'",
        )
        async with sending(world.database):
            await happen(world, tenant_id, range(1, 3))
            await asyncio.sleep(1)
            assert taking.requests == []
            await execute(world.database, "UPDATE account.webhook_endpoints SET due_at = now()")
            await until(lambda: has(2, taking))
    assert quotas_of(taking) == [1, 2]


async def test_a_sender_that_lost_its_lease_records_nothing(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    first, go_on = asyncio.Event(), asyncio.Event()

    async def hold_first(_received: Received) -> int:
        if not first.is_set():
            first.set()
            await go_on.wait()
        return 200

    async with receiver(hold_first) as taking, sending(world.database):
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 2))
        await first.wait()
        await execute(
            world.database, "UPDATE account.webhook_endpoints SET leased_by = 'other', due_at = now()"
        )
        go_on.set()
        await until(lambda: has(2, taking))
        assert taking.ids[0] == taking.ids[1]

        async def attempts() -> object:
            return await scalar(world.database, "SELECT count(*) FROM account.webhook_attempts")

        await until(attempts)
        assert await attempts() == 1


async def test_an_event_that_comes_meanwhile_follows(world: PostgresWorld) -> None:
    """It is numbered after the sender has looked for events, and before it ends its lease."""
    tenant_id, owner = await world.tenant()
    first, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_received: Received) -> int:
        first.set()
        await go_on.wait()
        return 200

    async with receiver(hold) as taking, sending(world.database):
        await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 2))
        await first.wait()
        await happen(world, tenant_id, range(2, 3))

        async def is_woken() -> bool:
            return bool(await scalar(world.database, "SELECT is_woken FROM account.webhook_endpoints"))

        await until(is_woken)
        go_on.set()
        await until(lambda: has(2, taking))
    assert quotas_of(taking) == [1, 2]


async def test_what_is_asked_for_meanwhile_waits_for_no_retry(world: PostgresWorld) -> None:
    """The event that is being sent fails, and is tried again in an hour."""
    tenant_id, owner = await world.tenant()
    first, go_on = asyncio.Event(), asyncio.Event()

    async def fail(received: Received) -> int:
        if received.event["type"] == "webhook.test":
            return 200
        first.set()
        await go_on.wait()
        return 500

    async with receiver(fail) as taking:
        made = await endpoint(world, tenant_id, owner, taking)
        await execute(world.database, "UPDATE account.webhook_endpoints SET failures = 12")
        async with sending(world.database):
            await happen(world, tenant_id, range(1, 2))
            await first.wait()
            async with world.transaction() as session:
                await world.engines.webhooks.send_test(session, tenant_id, owner, made.endpoint_id)
            go_on.set()
            await until(lambda: has(2, taking))
    types = [each.event["type"] for each in taking.requests]
    assert types[:2] == ["tenant.quotas_changed", "webhook.test"]


async def test_a_locked_endpoint_delays_no_other(world: PostgresWorld) -> None:
    """Somebody's transaction holds the row of an endpoint that is due."""
    tenant_id, owner = await world.tenant()
    other, other_owner = await world.tenant()
    async with receiver() as held, receiver() as taking:
        locked = await endpoint(world, other, other_owner, held)
        await endpoint(world, tenant_id, owner, taking)
        lock = f"SELECT FROM account.webhook_endpoints WHERE endpoint_id = '{locked.endpoint_id}' FOR UPDATE"
        async with world.transaction() as session:
            await session.execute(text(lock))
            async with sending(world.database):
                await happen(world, tenant_id, range(1, 2))
                await until(lambda: has(1, taking))
        assert held.requests == []


async def test_a_turn_longer_than_a_lease_keeps_it(world: PostgresWorld) -> None:
    """The lease is renewed while it is held, and another's is not."""
    tenant_id, owner = await world.tenant()
    async with receiver() as taking:
        made = await endpoint(world, tenant_id, owner, taking)
    leases = SqlWebhookLeases()
    async with world.transaction() as session:
        mine = await Deliverer(world).lease_in(session, tenant_id, made.endpoint_id)
        key = (tenant_id, made.endpoint_id, mine.leased_by)
        await session.execute(text("UPDATE account.webhook_endpoints SET due_at = now() + interval '1 s'"))
        assert await leases.renew(session, [(tenant_id, made.endpoint_id, "other")]) == set()
        ends = "SELECT due_at > now() + interval '9 s' FROM account.webhook_endpoints"
        assert not await session.scalar(text(ends))
        assert await leases.renew(session, [key]) == {key}
        assert await session.scalar(text(ends))


async def test_an_attempt_ends_with_the_lease(world: PostgresWorld) -> None:
    """What is answered later may have been sent by the next sender too, out of order."""
    tenant_id, owner = await world.tenant()
    is_over = asyncio.Event()

    async def never(_received: Received) -> int:
        await is_over.wait()
        return 200

    async with receiver(never) as taking:
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 2))
        deliverer = Deliverer(world)
        leased = await deliverer.lease(tenant_id, made.endpoint_id)
        [pending] = await deliverer.pending(leased)
        pools = connection_pools(SystemResolver(), LOOPBACK)
        client = WebhookClient(pools, "urn:hoc:test", deadline_seconds=3_600)
        ends = asyncio.get_running_loop().time() + 0.2
        async with asyncio.timeout(30):
            attempt = await client.send(leased, pending.event, ends)
        is_over.set()
        await client.close()
    assert attempt.error == "timeout"


async def test_pruning_keeps_what_an_endpoint_has_not_had(world: PostgresWorld) -> None:
    from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions

    tenant_id, owner = await world.tenant()
    answers: Callable[[Received], int] = lambda _received: 500  # noqa: E731 - one line says it
    async with receiver(answers) as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 2))
        await until(lambda: has(1, taking))
    month = f"events_{world.clock():%Y_%m}"
    await execute(world.database, "UPDATE account.event_cursors SET sequence = 10000 WHERE name = 'nats'")
    async with world.transaction() as session:
        assert await SqlEventPartitions().has_unpublished(session, month)
        # Idle, it has had what is before the line that wakes endpoints, whatever its own position.
        idle = "UPDATE account.webhook_endpoints SET due_at = NULL, leased_by = NULL"
        await session.execute(text(idle))
        line = "UPDATE account.event_cursors SET sequence = :at WHERE name = 'webhooks'"
        for at, is_kept in ((10_000, False), (0, True)):
            await session.execute(text(line), {"at": at})
            assert await SqlEventPartitions().has_unpublished(session, month) is is_kept
        await world.engines.webhooks.delete(session, tenant_id, owner, made.endpoint_id)
        assert not await SqlEventPartitions().has_unpublished(session, month)
