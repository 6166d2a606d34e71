"""Webhook endpoints: what their owners choose, and what attempts to deliver events decide."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.webhooks import URL, Deliverer
from support.world import World, refusal, walk

from hoc.cus.account.L5_engines.webhooks import MAX_WEBHOOKS
from hoc.cus.account.L5_schemas.errors import (
    InvalidInputError,
    LimitExceededError,
    NotAMemberError,
    NotFoundError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.webhooks import WebhookResult, WebhookSecretResult

DAY = timedelta(days=1)


async def create(world: World, tenant_id: str | None, owner: str, **given: Any) -> WebhookSecretResult:
    given.setdefault("url", URL)
    async with world.transaction() as session:
        return await world.engines.webhooks.create(session, tenant_id, owner, **given)


async def read(world: World, tenant_id: str | None, owner: str, endpoint_id: str) -> WebhookResult:
    async with world.reading() as session:
        return (await world.engines.webhooks.get(session, tenant_id, owner, endpoint_id)).value


async def update(world: World, tenant_id: str | None, owner: str, endpoint_id: str, **given: Any) -> Any:
    async with world.transaction() as session:
        return await world.engines.webhooks.update(session, tenant_id, owner, endpoint_id, **given)


async def happen(world: World, tenant_id: str, times: int = 1) -> list[str]:
    """That many events of the tenant. Returns their ids."""
    known = {event.event_id for event in await world.events(tenant_id=tenant_id)}
    for number in range(times):
        async with world.transaction() as session:
            quota = 100 + len(known) + number
            await world.engines.projects.override_quotas(session, tenant_id, max_workers=quota)
    return [each.event_id for each in await world.events(tenant_id=tenant_id) if each.event_id not in known]


async def ready(world: World, **given: Any) -> tuple[str, str, str]:
    """A tenant, its owner and an endpoint, which is sent only quotas' changes."""
    tenant_id, owner = await world.tenant()
    made = await create(world, tenant_id, owner, event_types=["tenant.quotas_changed"], **given)
    return tenant_id, owner, made.endpoint_id


async def test_only_the_creation_shows_the_secret(world: World) -> None:
    tenant_id, owner = await world.tenant()
    made = await create(world, tenant_id, owner, description=" Billing ")
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    found = await read(world, tenant_id, owner, made.endpoint_id)
    assert made.secret not in str(found)
    assert (found.url, found.event_types, found.description) == (URL, None, "Billing")
    assert (found.status, found.disabled_reason) == ("enabled", None)
    events = await world.events(tenant_id=tenant_id)
    assert made.secret not in str(events)
    assert URL not in str(events)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https:///path",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:99999/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[fe80::1%25eth0]/",
        "https://169.254.169.254/latest",
        "https://168.63.129.16/",
        "https://10.0.0.1/",
        "https://hooks example.com/",
        "https://h\u00f6ks.example.com/",
        "https://example.com/" + "x" * 2_048,
        "https://example.com/\r\nHost: x",
    ],
)
async def test_a_url_that_leads_inside_is_refused(world: World, url: str) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        refused = await refusal(world.engines.webhooks.create(session, tenant_id, owner, url=url))
    assert refused[0] is InvalidInputError


@pytest.mark.parametrize("url", ["HTTPS://hooks.example.com", "https://[2606:4700::1]:8443/x?y=z"])
async def test_a_url_on_the_internet_is_taken(world: World, url: str) -> None:
    tenant_id, owner = await world.tenant()
    made = await create(world, tenant_id, owner, url=url)
    assert (await read(world, tenant_id, owner, made.endpoint_id)).url == "https" + url[5:]


@pytest.mark.parametrize("types", [[], ["tenant.unheard_of"], ["webhook.test"]])
async def test_unknown_types_are_refused(world: World, types: list[str]) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        create = world.engines.webhooks.create(session, tenant_id, owner, url=URL, event_types=types)
        assert (await refusal(create))[0] is InvalidInputError


async def test_an_owner_has_fifty_endpoints_at_most(world: World) -> None:
    tenant_id, owner = await world.tenant()
    webhooks = world.engines.webhooks
    async with world.transaction() as session:
        for _ in range(MAX_WEBHOOKS):
            await webhooks.create(session, tenant_id, owner, url=URL)
        refused = await refusal(webhooks.create(session, tenant_id, owner, url=URL))
        listed = await walk(partial(webhooks.list, session, tenant_id, owner, limit=30))
    assert refused[:2] == (LimitExceededError, "quota_exceeded")
    assert [page.total for page in listed] == [MAX_WEBHOOKS, MAX_WEBHOOKS]
    assert len({each.endpoint_id for page in listed for each in page.webhooks}) == MAX_WEBHOOKS


async def test_anothers_endpoint_is_one_that_never_was(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    other, stranger = await world.tenant()
    webhooks = world.engines.webhooks
    async with world.transaction() as session:
        for call in (
            webhooks.get(session, other, stranger, endpoint_id),
            webhooks.update(session, other, stranger, endpoint_id, enabled=False),
            webhooks.rotate_secret(session, other, stranger, endpoint_id),
            webhooks.list_attempts(session, other, stranger, endpoint_id),
            webhooks.list_set_aside(session, other, stranger, endpoint_id),
            webhooks.send_test(session, other, stranger, endpoint_id),
            webhooks.delete(session, other, stranger, endpoint_id),
            webhooks.get(session, None, stranger, endpoint_id),
        ):
            assert (await refusal(call))[0] is NotFoundError
        for foreign in (tenant_id, ""):
            call = webhooks.get(session, foreign, stranger, endpoint_id)
            assert (await refusal(call))[0] is NotAMemberError
    assert (await read(world, tenant_id, owner, endpoint_id)).status == "enabled"


async def test_a_change_sets_what_is_given(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    changed = await update(world, tenant_id, owner, endpoint_id, description="Other", expected_version=1)
    assert (changed.value.description, changed.value.event_types) == ("Other", ["tenant.quotas_changed"])
    changed = await update(world, tenant_id, owner, endpoint_id, url=URL + "2", event_types=None)
    assert (changed.value.url, changed.value.event_types, changed.version) == (URL + "2", None, 3)
    async with world.transaction() as session:
        call = world.engines.webhooks.update(
            session, tenant_id, owner, endpoint_id, enabled=False, expected_version=1
        )
        assert (await refusal(call))[0] is StaleVersionError
    last = (await world.events(tenant_id=tenant_id))[-1]
    assert (last.type, last.data["updated_fields"]) == ("webhook.changed", ["url", "event_types"])


async def test_two_secrets_sign_during_the_overlap(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    first = (await Deliverer(world).lease(tenant_id, endpoint_id)).secrets
    async with world.transaction() as session:
        rotated = await world.engines.webhooks.rotate_secret(
            session, tenant_id, owner, endpoint_id, overlap_hours=0
        )
    assert (await Deliverer(world).lease(tenant_id, endpoint_id)).secrets == (rotated.secret,)
    assert rotated.secret not in first
    # Leases go by the database's clock, where there is one.
    world.clock.now = max(world.clock.now, world.clock.now + 3_000 * DAY)
    async with world.transaction() as session:
        again = await world.engines.webhooks.rotate_secret(session, tenant_id, owner, endpoint_id)
    leased = await Deliverer(world).lease(tenant_id, endpoint_id)
    assert leased.secrets == (again.secret, rotated.secret)
    assert rotated.secret not in repr(leased)


async def test_what_is_delivered_moves_the_position(world: World) -> None:
    tenant_id, _, endpoint_id = await ready(world)
    happened = await happen(world, tenant_id, 3)
    deliverer = Deliverer(world)
    leased = await deliverer.lease(tenant_id, endpoint_id)
    assert [each.event.event_id for each in await deliverer.pending(leased)] == happened
    left = await deliverer.record(leased, 200, 204)
    assert left is not None
    assert left.retry_at is None
    assert [each.event.event_id for each in await deliverer.pending(left)] == happened[2:]


async def test_a_tenant_is_sent_its_own_events_only(world: World) -> None:
    tenant_id, _, endpoint_id = await ready(world)
    other, _ = await world.tenant()
    foreign = await happen(world, other)
    deliverer = Deliverer(world)
    await deliverer.lease(tenant_id, endpoint_id)  # which numbers the events
    whole = await create(world, None, "operator", event_types=["tenant.quotas_changed"])
    mine = await happen(world, tenant_id)
    foreign += await happen(world, other)
    pending = await deliverer.pending(await deliverer.lease(tenant_id, endpoint_id))
    assert [each.event.event_id for each in pending] == mine
    all_of_them = await deliverer.pending(await deliverer.lease(None, whole.endpoint_id))
    assert [each.event.event_id for each in all_of_them] == [*mine, foreign[1]]


async def test_ten_refusals_set_an_event_aside(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    happened = await happen(world, tenant_id, 2)
    deliverer = Deliverer(world)
    for number in range(9):
        left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 400 + number % 5)
        assert left is not None
        assert left.retry_at == world.clock.now + timedelta(seconds=2**number)
    left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 422)
    assert left is not None
    assert left.retry_at is None
    assert [each.event.event_id for each in await deliverer.pending(left)] == happened[1:]
    async with world.reading() as session:
        aside = await world.engines.webhooks.list_set_aside(session, tenant_id, owner, endpoint_id)
        attempts = await walk(
            partial(world.engines.webhooks.list_attempts, session, tenant_id, owner, endpoint_id, limit=4)
        )
    assert [(each.event_id, each.status_code) for each in aside.value.events] == [(happened[0], 422)]
    assert [each.event_id for page in attempts for each in page.attempts] == happened[:1] * 10
    assert aside.value.total == 1


@pytest.mark.parametrize("status", [None, 301, 408, 429, 500, 503])
async def test_what_is_no_refusal_is_never_set_aside(world: World, status: int | None) -> None:
    tenant_id, _, endpoint_id = await ready(world)
    await happen(world, tenant_id)
    deliverer = Deliverer(world)
    for number in range(12):
        left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), status)
        assert left is not None
        assert left.retry_at == world.clock.now + timedelta(seconds=2**number)
    left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), status)
    assert left is not None
    assert left.retry_at == world.clock.now + timedelta(hours=1)
    assert len(await deliverer.pending(left)) == 1


async def test_the_endpoints_own_pause_is_kept(world: World) -> None:
    tenant_id, _, endpoint_id = await ready(world)
    await happen(world, tenant_id)
    deliverer = Deliverer(world)
    for asked, kept in ((90, timedelta(seconds=90)), (10**6, DAY)):
        leased = await deliverer.lease(tenant_id, endpoint_id)
        left = await deliverer.record(leased, 429, retry_after=asked)
        assert left is not None
        assert left.retry_at == world.clock.now + kept


async def test_what_was_delivered_ahead_is_not_repeated(world: World) -> None:
    tenant_id, _, endpoint_id = await ready(world)
    happened = await happen(world, tenant_id, 3)
    deliverer = Deliverer(world)
    left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 500, 200, 500)
    assert left is not None
    pending = await deliverer.pending(left)
    assert [(each.event.event_id, each.is_delivered) for each in pending] == [
        (happened[0], False),
        (happened[1], True),
        (happened[2], False),
    ]
    left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 200)
    assert left is not None
    assert [each.event.event_id for each in await deliverer.pending(left)] == happened[2:]


async def test_three_days_without_success_disable(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    happened = await happen(world, tenant_id)
    deliverer = Deliverer(world)
    assert await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), None) is not None
    began = world.clock.now
    world.clock.now = began + 3 * DAY - timedelta(seconds=1)
    assert await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 503) is not None
    assert (await read(world, tenant_id, owner, endpoint_id)).failing_since == began
    world.clock.now = began + 3 * DAY
    assert await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), None) is None
    found = await read(world, tenant_id, owner, endpoint_id)
    assert (found.status, found.disabled_reason) == ("disabled", "failing")
    assert found.next_attempt_at is None
    last = (await world.events(tenant_id=tenant_id))[-1]
    assert (last.type, last.actor, last.data["reason"]) == ("webhook.disabled", None, "failing")
    rows = await world.rows()
    mails = [str((key, row)) for key, row in rows.items() if key[0] == "webhook_mails"]
    assert any(endpoint_id in mail and owner in mail for mail in mails)
    # Enabled again, it resumes where it stopped.
    await update(world, tenant_id, owner, endpoint_id, enabled=True)
    leased = await deliverer.lease(tenant_id, endpoint_id)
    assert [each.event.event_id for each in await deliverer.pending(leased)] == happened
    assert (leased.failures, leased.failing_since) == (0, None)


async def test_an_endpoint_that_is_gone_is_disabled(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    missed = await happen(world, tenant_id)
    deliverer = Deliverer(world)
    assert await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 410) is None
    assert (await read(world, tenant_id, owner, endpoint_id)).disabled_reason == "gone"
    # Enabled from now on, it is not sent what it has missed.
    await deliverer.lease(tenant_id, endpoint_id)
    await update(world, tenant_id, owner, endpoint_id, enabled=True, from_now=True)
    happened = await happen(world, tenant_id)
    pending = await deliverer.pending(await deliverer.lease(tenant_id, endpoint_id))
    assert [each.event.event_id for each in pending] == happened
    assert missed[0] not in happened


async def test_a_success_ends_the_failure(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    await happen(world, tenant_id, 2)
    deliverer = Deliverer(world)
    await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 500)
    await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 200)
    assert (await read(world, tenant_id, owner, endpoint_id)).failing_since is None
    left = await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 500)
    assert left is not None
    assert left.failures == 1


async def test_a_lost_lease_records_nothing(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    await happen(world, tenant_id)
    deliverer = Deliverer(world)
    leased = await deliverer.lease(tenant_id, endpoint_id)
    await update(world, tenant_id, owner, endpoint_id, enabled=False)
    assert await deliverer.record(leased, 200) is None
    await update(world, tenant_id, owner, endpoint_id, enabled=True)
    assert len(await deliverer.pending(await deliverer.lease(tenant_id, endpoint_id))) == 1
    async with world.reading() as session:
        attempts = await world.engines.webhooks.list_attempts(session, tenant_id, owner, endpoint_id)
    assert attempts.value.attempts == []


async def test_what_was_set_aside_is_sent_again(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    [event_id] = await happen(world, tenant_id)
    deliverer, webhooks = Deliverer(world), world.engines.webhooks
    async with world.transaction() as session:
        call = webhooks.send_again(session, tenant_id, owner, endpoint_id, event_id)
        assert (await refusal(call))[0] is NotFoundError
    [pending] = await deliverer.pending(await deliverer.lease(tenant_id, endpoint_id))
    for _ in range(10):
        await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 400)
    async with world.transaction() as session:
        sent = await webhooks.send_again(session, tenant_id, owner, endpoint_id, event_id)
    assert sent.event_id == event_id
    for status, left in ((400, 1), (200, 0)):
        leased = await deliverer.lease(tenant_id, endpoint_id)
        await deliverer.record_requested(leased, event_id, deliverer.attempt(pending, status))
        async with world.reading() as session:
            aside = await webhooks.list_set_aside(session, tenant_id, owner, endpoint_id)
        assert aside.value.total == left


async def test_what_is_deleted_leaves_nothing(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    [event_id] = await happen(world, tenant_id)
    deliverer = Deliverer(world)
    for _ in range(10):
        await deliverer.record(await deliverer.lease(tenant_id, endpoint_id), 400)
    async with world.transaction() as session:
        await world.engines.webhooks.send_again(session, tenant_id, owner, endpoint_id, event_id)
        await world.engines.webhooks.send_test(session, tenant_id, owner, endpoint_id)
        await world.engines.webhooks.delete(session, tenant_id, owner, endpoint_id)
    left = [row for key, row in (await world.rows()).items() if endpoint_id in str(key)]
    assert left == []


async def test_a_suspended_tenant_reads_and_does_not_change(world: World) -> None:
    tenant_id, owner, endpoint_id = await ready(world)
    await world.suspend(tenant_id)
    assert (await read(world, tenant_id, owner, endpoint_id)).status == "enabled"
    async with world.transaction() as session:
        call = world.engines.webhooks.delete(session, tenant_id, owner, endpoint_id)
        assert (await refusal(call))[1] == "tenant_not_active"
