"""Idempotency-Key: a POST sent again is answered as the first time, and done once."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from support.console import Console, Tenant, new_email, problem_of

from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_schemas.errors import IdempotencyKeyReusedError
from hoc.cus.account.L5_schemas.records import IdempotencyKey
from hoc.cus.account.L6_drivers.idempotency import SqlIdempotencyKeys

TICKET = {"subject": "Help", "description": "Please."}


def keyed(headers: dict[str, str], key: str | None = None) -> dict[str, str]:
    return headers | {"Idempotency-Key": key or uuid.uuid4().hex}


async def count_tickets(console: Console, tenant: Tenant) -> int:
    answer = await console.client.get("/support/tickets", headers=console.as_(tenant.owner, tenant.tenant_id))
    total: int = answer.json()["total"]
    return total


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", {"name": "Mine"}),
        ("/users/invite", {"email": new_email()}),
        ("/support/tickets", TICKET),
        ("/tenant/ownership-transfer", {"to_user_id": "{viewer}"}),
        ("/invitations/{invitation}/resend", {"expires_in_days": 3}),
    ],
)
async def test_a_repeated_call_gets_the_first_answer(
    console: Console, tenant: Tenant, path: str, body: dict[str, Any]
) -> None:
    invitation_id, _ = await console.invite(tenant.tenant_id, tenant.owner)
    path = path.replace("{invitation}", invitation_id)
    body = {name: tenant.viewer if value == "{viewer}" else value for name, value in body.items()}
    headers = keyed(console.as_(tenant.owner, tenant.tenant_id))
    answers = [await console.client.post(path, json=body, headers=headers) for _ in range(3)]
    assert answers[0].is_success
    for answer in answers[1:]:
        assert (answer.status_code, answer.content) == (answers[0].status_code, answers[0].content)
        assert set(answer.headers) == set(answers[0].headers)


async def test_it_is_done_once(console: Console, tenant: Tenant) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    for key in (keyed(headers), keyed(headers)):
        for _ in range(2):
            await console.client.post("/support/tickets", json=TICKET, headers=key)
    assert await count_tickets(console, tenant) == 2


async def test_concurrent_duplicates_are_done_once(console: Console, tenant: Tenant) -> None:
    """The second waits for the first on another connection: a ticket's lock holds the first one open."""
    headers = keyed(console.as_(tenant.owner, tenant.tenant_id))
    async with console.database.transaction() as session:
        await session.execute(text("LOCK TABLE account.support_tickets IN SHARE ROW EXCLUSIVE MODE"))
        calls = [
            asyncio.create_task(console.client.post("/support/tickets", json=TICKET, headers=headers))
            for _ in range(4)
        ]
        for _ in range(500):
            if await waiting_for_locks(console) >= 4:
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the duplicates do not wait for the first call")
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count_tickets(console, tenant) == 1


async def waiting_for_locks(console: Console) -> int:
    async with console.database.reading() as session:
        waiting: int = await session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        return waiting


async def test_another_payload_under_the_key_is_refused(console: Console, tenant: Tenant) -> None:
    headers = keyed(console.as_(tenant.owner, tenant.tenant_id))
    await console.client.post("/support/tickets", json=TICKET, headers=headers)
    other = await console.client.post("/support/tickets", json=TICKET | {"subject": "Else"}, headers=headers)
    assert (other.status_code, problem_of(other)["code"]) == (422, "idempotency_key_reused")
    assert await count_tickets(console, tenant) == 1


async def test_a_key_counts_within_its_tenant_caller_and_route(console: Console, tenant: Tenant) -> None:
    key = uuid.uuid4().hex
    other_tenant, _ = await console.add_tenant(tenant.owner)
    one, _ = await console.invite(tenant.tenant_id, tenant.owner)
    other, _ = await console.invite(tenant.tenant_id, tenant.owner)
    callers = [
        (tenant.owner, tenant.tenant_id),
        (tenant.admin, tenant.tenant_id),
        (tenant.owner, other_tenant),
    ]
    tickets = [
        await console.client.post("/support/tickets", json=TICKET, headers=keyed(console.as_(*caller), key))
        for caller in callers
    ]
    assert len({answer.json()["id"] for answer in tickets}) == 3
    owner = keyed(console.as_(tenant.owner, tenant.tenant_id), key)
    resent = [
        await console.client.post(f"/invitations/{each}/resend", headers=owner) for each in (one, other)
    ]
    assert [answer.json()["id"] for answer in resent] == [one, other]


async def test_a_failed_call_may_be_made_again(console: Console, tenant: Tenant) -> None:
    headers = keyed(console.as_(tenant.owner, tenant.tenant_id))
    body = {"to_user_id": tenant.second_owner}
    path = "/tenant/ownership-transfer"
    assert (await console.client.post(path, json=body, headers=headers)).status_code == 409
    async with console.database.transaction() as session:
        await console.engines.members.change_role(
            session, tenant.tenant_id, tenant.owner, tenant.second_owner, "admin"
        )
    assert (await console.client.post(path, json=body, headers=headers)).status_code == 201


async def test_a_key_is_forgotten_after_a_day(console: Console) -> None:
    now = datetime(2026, 3, 14, 10, tzinfo=UTC)
    idempotency = Idempotency(SqlIdempotencyKeys(), clock=lambda: now)
    key = IdempotencyKey("ten_1", "usr_1", "POST /x", uuid.uuid4().hex)

    async def begin(payload: bytes) -> bytes | None:
        async with console.database.transaction() as session:
            stored = await idempotency.begin(session, key, payload)
            if stored is None:
                await idempotency.complete(session, key, status_code=201, body=payload)
            return None if stored is None else stored.body

    assert await begin(b"first") is None
    now += timedelta(hours=24)
    assert await begin(b"first") == b"first"
    with pytest.raises(IdempotencyKeyReusedError):
        await begin(b"second")
    now += timedelta(seconds=1)
    assert await begin(b"second") is None
    assert await begin(b"second") == b"second"
