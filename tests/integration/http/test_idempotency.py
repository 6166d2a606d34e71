"""Idempotency-Key: a repeated POST is done once, and gets the first answer."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from support.console import Console, Headers, problem_of
from support.races import WAITING_FOR_LOCKS
from support.routes import ROUTES, Route
from support.seed import scalar
from support.waiting import until
from support.world import Team

from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_schemas.errors import IdempotencyKeyReusedError
from hoc.cus.account.L5_schemas.port_types import IdempotencyKey
from hoc.cus.account.L5_schemas.scim import NewScimTokenResult
from hoc.cus.account.L6_drivers.idempotency import SqlIdempotencyKeys

TICKET = {"subject": "Help", "description": "Please."}
SECRET = [route for route in ROUTES.values() if route.operation.answers_secret]
KEYED = [route for route in ROUTES.values() if route.operation.idempotent]


def keyed(headers: Headers, key: str | None = None) -> Headers:
    return headers | {"Idempotency-Key": key or uuid.uuid4().hex}


async def count_tickets(console: Console, headers: Headers) -> int:
    answer = await console.client.get("/support/tickets", headers=headers)
    total: int = answer.json()["total"]
    return total


def test_every_call_that_creates_or_mails_takes_a_key() -> None:
    assert [route.label for route in KEYED] == [
        "POST /accounts/projects",
        "POST /accounts/users/invite",
        "POST /accounts/users/invite/batch",
        "POST /accounts/invitations/{invitation_id}/resend",
        "POST /accounts/domains",
        "POST /accounts/tenant/ownership-transfer",
        "POST /accounts/support/tickets",
        "POST /accounts/support/tickets/{ticket_id}/replies",
        "POST /api/v1/tenants/{tenant_id}/tickets/{ticket_id}/replies",
    ]


@pytest.mark.parametrize("route", KEYED, ids=str)
async def test_a_repeated_call_gets_the_first_answer(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    headers = keyed(route.allowed(console, team, values))
    answers = [await console.client.request(**route.request(values), headers=headers) for _ in range(3)]
    assert answers[0].is_success
    for answer in answers[1:]:
        assert (answer.status_code, answer.content) == (answers[0].status_code, answers[0].content)
        assert set(answer.headers) == set(answers[0].headers)


async def test_a_repeated_call_is_done_once(console: Console, headers: Headers) -> None:
    for key in (keyed(headers), keyed(headers)):
        for _ in range(2):
            await console.client.post("/support/tickets", json=TICKET, headers=key)
    assert await count_tickets(console, headers) == 2


async def test_concurrent_duplicates_are_done_once(console: Console, headers: Headers) -> None:
    """The duplicates wait for the first call, which a lock on the tickets holds open."""
    key = keyed(headers)

    async def all_wait() -> bool:
        return await scalar(console.database, WAITING_FOR_LOCKS) == 4

    async with console.transaction() as session:
        await session.execute(text("LOCK TABLE account.support_tickets IN SHARE ROW EXCLUSIVE MODE"))
        calls = [
            asyncio.create_task(console.client.post("/support/tickets", json=TICKET, headers=key))
            for _ in range(4)
        ]
        await until(all_wait)
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count_tickets(console, headers) == 1


async def test_another_payload_under_the_key_is_refused(console: Console, headers: Headers) -> None:
    key = keyed(headers)
    await console.client.post("/support/tickets", json=TICKET, headers=key)
    other = await console.client.post("/support/tickets", json=TICKET | {"subject": "Else"}, headers=key)
    assert (other.status_code, problem_of(other)["code"]) == (422, "idempotency_key_reused")
    assert await count_tickets(console, headers) == 1


async def test_a_key_counts_within_its_tenant_caller_and_route(console: Console, team: Team) -> None:
    key = uuid.uuid4().hex
    other_tenant, _ = await console.tenant(team.owner)
    one, _ = await console.invite(team.tenant_id, team.owner)
    other, _ = await console.invite(team.tenant_id, team.owner)
    callers = [
        (team.owner, team.tenant_id),
        (team.admin, team.tenant_id),
        (team.owner, other_tenant),
    ]
    tickets = [
        await console.client.post("/support/tickets", json=TICKET, headers=keyed(console.as_(*caller), key))
        for caller in callers
    ]
    assert len({answer.json()["id"] for answer in tickets}) == 3
    owner = keyed(console.as_(team.owner, team.tenant_id), key)
    resent = [
        await console.client.post(f"/invitations/{each}/resend", headers=owner) for each in (one, other)
    ]
    assert [answer.json()["id"] for answer in resent] == [one, other]


@pytest.mark.parametrize("route", SECRET, ids=str)
async def test_a_secret_is_never_stored_for_a_key(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    headers, request = route.allowed(console, team, values), route.request(values)
    answer = await console.client.request(**request, headers=keyed(headers))
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "no_idempotency_key")
    answer = await console.client.request(**request, headers=headers)
    assert answer.is_success
    [secret] = [value for name, value in answer.json().items() if name in {"token", "secret"}]
    rows = await scalar(console.database, "SELECT string_agg(k::text, '') FROM account.idempotency_keys AS k")
    assert secret.encode().hex() not in str(rows)


def test_no_operation_stores_a_secret() -> None:
    assert [route.label for route in SECRET] == [
        "POST /accounts/invitations/{invitation_id}/link",
        "POST /accounts/scim/tokens",
        "POST /accounts/webhooks",
        "POST /accounts/webhooks/{endpoint_id}/secret",
        "POST /api/v1/accounts/profile/{user_id}/email-change/link",
        "POST /api/v1/webhooks",
        "POST /api/v1/webhooks/{endpoint_id}/secret",
    ]
    with pytest.raises(TypeError, match="a secret, which must not be stored"):
        Operation("POST", "/secrets", NewScimTokenResult, idempotent=True)


async def test_a_failed_call_may_be_made_again(console: Console, team: Team, headers: Headers) -> None:
    owner = await console.join(team.tenant_id, team.owner, "owner")
    path, body, key = "/tenant/ownership-transfer", {"to_user_id": owner}, keyed(headers)
    assert (await console.client.post(path, json=body, headers=key)).status_code == 409
    async with console.transaction() as session:
        await console.facade.members.change_role(session, team.tenant_id, team.owner, owner, "admin")
    assert (await console.client.post(path, json=body, headers=key)).status_code == 201


async def test_a_key_is_forgotten_after_a_day(console: Console) -> None:
    now = datetime(2026, 3, 14, 10, tzinfo=UTC)
    idempotency = Idempotency(SqlIdempotencyKeys(), clock=lambda: now)
    key = IdempotencyKey("ten_1", "usr_1", "POST /x", uuid.uuid4().hex)

    async def begin(payload: bytes) -> bytes | None:
        async with console.transaction() as session:
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
