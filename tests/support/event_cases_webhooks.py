"""A case for each event of a tenant's webhook endpoints."""

from datetime import timedelta
from typing import Any, Final

from support.event_scene import Case, Scene
from support.events import ParsedEvent
from support.webhooks import URL, Deliverer

from hoc.cus.account.L5_schemas import events
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import WebhookAttempt

TYPES = ["member.joined"]


async def create(it: Scene, session: Any) -> str:
    made = await it.facade.webhooks.create(session, it.tenant_id, it.team.admin, url=URL, event_types=TYPES)
    return made.endpoint_id


async def endpoint(it: Scene, session: Any) -> str:
    """The tenant's first endpoint, or the id of none."""
    listed = await it.facade.webhooks.list(session, it.tenant_id, it.team.owner)
    return listed.value.webhooks[0].endpoint_id if listed.value.webhooks else "wh_none"


async def change(it: Scene, session: Any) -> str:
    endpoint_id = await create(it, session)
    await disable(it, session)
    return endpoint_id


async def disable(it: Scene, session: Any) -> None:
    endpoint_id = await endpoint(it, session)
    await it.facade.webhooks.update(session, it.tenant_id, it.team.owner, endpoint_id, enabled=False)


async def rotate(it: Scene, session: Any) -> str:
    endpoint_id = await create(it, session)
    await it.facade.webhooks.rotate_secret(session, it.tenant_id, it.team.owner, endpoint_id)
    return endpoint_id


async def send_test(it: Scene, session: Any) -> object:
    return await it.facade.webhooks.send_test(
        session, it.tenant_id, it.team.owner, await endpoint(it, session)
    )


async def gone(it: Scene, session: Any) -> str:
    endpoint_id = await create(it, session)
    deliverer = Deliverer(it.world)
    leased = await deliverer.lease_in(session, it.tenant_id, endpoint_id)
    attempt = WebhookAttempt("evt_1", TYPES[0], 1, it.now, 410, None, 1)
    assert await deliverer.rules.record(session, leased, [], [attempt]) is None
    return endpoint_id


async def delete(it: Scene, session: Any) -> str:
    endpoint_id = await create(it, session)
    await it.facade.webhooks.delete(session, it.tenant_id, it.team.owner, endpoint_id)
    return endpoint_id


async def nothing(it: Scene, session: Any) -> None:
    """No operation: what made the event cannot be repeated without another change."""


CREATED = ("webhook.created",)

WEBHOOK_CASES: Final = {
    "webhook.created": Case(
        create,
        lambda it, endpoint_id: it.event(
            events.WebhookCreatedEventData(it.tenant_id, endpoint_id, TYPES, created_at=it.now),
            it.team.admin,
        ),
        again=nothing,
    ),
    "webhook.changed": Case(
        change,
        lambda it, endpoint_id: it.event(
            events.WebhookChangedEventData(
                it.tenant_id, endpoint_id, TYPES, WebhookStatus.DISABLED, ["status"], changed_at=it.now
            ),
            it.team.owner,
        ),
        beside=CREATED,
        again=disable,
    ),
    "webhook.secret_rotated": Case(
        rotate,
        lambda it, endpoint_id: it.event(
            events.WebhookSecretRotatedEventData(
                it.tenant_id, endpoint_id, it.now + timedelta(hours=24), rotated_at=it.now
            ),
            it.team.owner,
        ),
        beside=CREATED,
        again=send_test,
    ),
    "webhook.disabled": Case(
        gone,
        lambda it, endpoint_id: ParsedEvent(
            events.WebhookDisabledEventData(
                it.tenant_id, endpoint_id, WebhookDisabled.GONE, disabled_at=it.now
            ),
            None,
            it.tenant_id,
            None,
        ),
        beside=CREATED,
        again=nothing,
    ),
    "webhook.deleted": Case(
        delete,
        lambda it, endpoint_id: it.event(
            events.WebhookDeletedEventData(it.tenant_id, endpoint_id, deleted_at=it.now), it.team.owner
        ),
        beside=CREATED,
        again=nothing,
    ),
}
