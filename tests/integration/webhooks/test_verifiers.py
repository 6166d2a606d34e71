"""npm's `standardwebhooks` and `svix` verify what was really delivered, also while two secrets sign."""

from dataclasses import replace

from support.receiver import receiver
from support.waiting import until
from support.webhook_sending import endpoint, happen, has, sending
from support.webhook_verifiers import verdicts
from support.world import PostgresWorld


async def test_others_verify_what_was_delivered(world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    async with receiver() as taking, sending(world.database):
        made = await endpoint(world, tenant_id, owner, taking)
        await happen(world, tenant_id, range(1, 3))
        await until(lambda: has(2, taking))

        async def is_idle() -> bool:
            async with world.reading() as session:
                found = await world.engines.webhooks.get(session, tenant_id, owner, made.endpoint_id)
            return found.value.next_attempt_at is None

        await until(is_idle)
        async with world.transaction() as session:
            rotated = await world.engines.webhooks.rotate_secret(session, tenant_id, owner, made.endpoint_id)
        await happen(world, tenant_id, range(3, 5))
        await until(lambda: has(4, taking))
    ids = [[event_id, event_id] for event_id in taking.ids]
    assert verdicts(made.secret, taking.requests) == ids
    assert verdicts(rotated.secret, taking.requests[2:]) == ids[2:]
    refused = [["No matching signature found"] * 2] * 2
    assert verdicts(rotated.secret, taking.requests[:2]) == refused
    changed = [replace(each, body=each.body.replace(b"ten_", b"ten_x")) for each in taking.requests[:2]]
    assert verdicts(made.secret, changed) == refused
