"""Every route, asked by everybody: what each role may do, and nothing about another tenant."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import pytest
from support.console import Console, Tenant, new_email, without_identity

Request: TypeAlias = tuple[str, dict[str, Any]]
Preparation: TypeAlias = Callable[[Console, Tenant], Awaitable[Request]]

ROLES = ("owner", "admin", "member", "viewer", "ex-member", "outsider", "no tenant", "anonymous")


@dataclass(frozen=True, slots=True)
class Row:
    """What each of `ROLES` is answered, in that order."""

    prepare: Preparation
    expected: str


async def nothing(_console: Console, _tenant: Tenant) -> Request:
    return "", {}


async def own_project(_console: Console, tenant: Tenant) -> Request:
    return tenant.tenant_id, {}


async def project(_console: Console, _tenant: Tenant) -> Request:
    return "", {"json": {"name": "Another"}}


async def somebody(console: Console, tenant: Tenant) -> Request:
    return await console.add_member(tenant.tenant_id, tenant.owner), {}


async def new_role(console: Console, tenant: Tenant) -> Request:
    return await console.add_member(tenant.tenant_id, tenant.owner), {"json": {"role": "viewer"}}


async def address(_console: Console, _tenant: Tenant) -> Request:
    return "", {"json": {"email": new_email()}}


async def invitation(console: Console, tenant: Tenant) -> Request:
    return (await console.invite(tenant.tenant_id, tenant.owner))[0], {}


async def invitation_and_token(console: Console, tenant: Tenant) -> Request:
    invitation_id, token = await console.invite(tenant.tenant_id, tenant.owner)
    return invitation_id, {"json": {"token": token}}


async def no_offer(console: Console, tenant: Tenant) -> Request:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    await console.client.delete("/tenant/ownership-transfer", headers=headers)
    recipient = await console.add_member(tenant.tenant_id, tenant.owner)
    return "", {"json": {"to_user_id": recipient}}


async def offer(console: Console, tenant: Tenant) -> Request:
    _, request = await no_offer(console, tenant)
    async with console.database.transaction() as session:
        await console.engines.ownership.start(
            session, tenant.tenant_id, tenant.owner, request["json"]["to_user_id"]
        )
    return "", {}


async def name(_console: Console, _tenant: Tenant) -> Request:
    return "", {"json": {"display_name": "Somebody"}}


async def ticket(_console: Console, _tenant: Tenant) -> Request:
    return "", {"json": {"subject": "Help", "description": "It does not work."}}


READ_BY_MEMBERS = "200 200 200 200 403 403 403 401"
MANAGED = "200 200 403 403 403 403 403 401"

MATRIX = {
    #                                                owner adm mem vie  ex out none anon
    "GET /projects": Row(nothing, READ_BY_MEMBERS),
    "POST /projects": Row(project, "201 201 201 201 201 201 201 401"),
    "GET /projects/{project_id}": Row(own_project, READ_BY_MEMBERS),
    "GET /memberships": Row(nothing, "200 200 200 200 200 200 200 401"),
    "GET /users": Row(nothing, READ_BY_MEMBERS),
    "GET /tenant/users": Row(nothing, READ_BY_MEMBERS),
    "GET /users/{user_id}": Row(somebody, READ_BY_MEMBERS),
    "PUT /users/{user_id}/role": Row(new_role, "200 403 403 403 403 403 403 401"),
    "DELETE /users/{user_id}": Row(somebody, MANAGED),
    "POST /tenant/leave": Row(nothing, READ_BY_MEMBERS),
    "POST /users/invite": Row(address, "201 201 403 403 403 403 403 401"),
    "GET /invitations": Row(nothing, MANAGED),
    "GET /audit": Row(nothing, MANAGED),
    # The token is for an address without an account: whoever is signed in is somebody else.
    "POST /invitations/{invitation_id}/accept": Row(
        invitation_and_token, "403 403 403 403 403 403 403 200"
    ),
    "POST /invitations/{invitation_id}/resend": Row(invitation, MANAGED),
    "DELETE /invitations/{invitation_id}": Row(invitation, MANAGED),
    "POST /tenant/ownership-transfer": Row(no_offer, "201 403 403 403 403 403 403 401"),
    # The offer is to another member: nobody here may accept it, and who manages nobody does not see it.
    "GET /tenant/ownership-transfer": Row(offer, "200 200 404 404 403 403 403 401"),
    "POST /tenant/ownership-transfer/accept": Row(offer, "404 404 404 404 404 404 403 401"),
    "DELETE /tenant/ownership-transfer": Row(offer, "200 404 404 404 403 403 403 401"),
    "GET /profile": Row(nothing, READ_BY_MEMBERS),
    "PUT /profile": Row(name, "200 200 200 200 200 200 200 401"),
    "GET /billing": Row(nothing, READ_BY_MEMBERS),
    "GET /billing/invoices": Row(nothing, READ_BY_MEMBERS),
    "GET /support": Row(nothing, READ_BY_MEMBERS),
    "POST /support/tickets": Row(ticket, "201 201 201 201 403 403 403 401"),
    "GET /support/tickets": Row(nothing, READ_BY_MEMBERS),
}  # fmt: skip


async def documented_routes(console: Console) -> set[str]:
    document = (await console.client.get("/openapi.json")).json()
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


async def callers(console: Console, tenant: Tenant) -> dict[str, dict[str, str]]:
    """The request headers of each role."""
    former = await console.add_member(tenant.tenant_id, tenant.owner)
    async with console.database.transaction() as session:
        await console.engines.members.remove(session, tenant.tenant_id, tenant.owner, former)
    _, outsider = await console.add_tenant()
    members = (tenant.owner, tenant.admin, tenant.member, tenant.viewer, former, outsider)
    selecting = [console.as_(user_id, tenant.tenant_id) for user_id in members]
    return dict(zip(ROLES, [*selecting, console.as_(tenant.member), {}], strict=True))


async def ask(console: Console, route: str, id_: str, **options: Any) -> httpx.Response:
    method, _, path = route.partition(" ")
    filled = "/".join(id_ if step.startswith("{") else step for step in path.split("/"))
    return await console.client.request(method, filled, **options)


async def test_every_route_is_in_the_matrix(console: Console) -> None:
    assert await documented_routes(console) == set(MATRIX)


@pytest.mark.parametrize("route", MATRIX)
async def test_what_each_role_may_do(console: Console, tenant: Tenant, route: str) -> None:
    row = MATRIX[route]
    answered: dict[str, int] = {}
    for role, headers in (await callers(console, tenant)).items():
        id_, options = await row.prepare(console, tenant)
        answered[role] = (await ask(console, route, id_, headers=headers, **options)).status_code
    expected = dict(zip(ROLES, map(int, row.expected.split()), strict=True))
    assert answered == expected


@pytest.mark.parametrize("route", [route for route in MATRIX if "{" in route])
async def test_a_foreign_id_is_like_one_that_never_was(console: Console, tenant: Tenant, route: str) -> None:
    own_tenant, caller = await console.add_tenant()
    headers = console.as_(caller, own_tenant)
    id_, options = await MATRIX[route].prepare(console, tenant)
    if route.endswith("/accept"):
        # A foreign invitation under a token of one's own, the only one that could be tried.
        options = {"json": {"token": (await console.invite(own_tenant, caller))[1]}}
    foreign = await ask(console, route, id_, headers=headers, **options)
    never = await ask(console, route, never_was(id_), headers=headers, **options)
    assert foreign.status_code == 404
    assert without_identity(foreign) == without_identity(never)


async def test_a_foreign_id_in_a_body_is_like_one_that_never_was(console: Console, tenant: Tenant) -> None:
    own_tenant, caller = await console.add_tenant()
    headers = console.as_(caller, own_tenant)
    path = "/tenant/ownership-transfer"
    foreign = await console.client.post(path, json={"to_user_id": tenant.member}, headers=headers)
    never = await console.client.post(path, json={"to_user_id": never_was("usr_")}, headers=headers)
    assert foreign.status_code == 404
    assert without_identity(foreign) == without_identity(never)


@pytest.mark.parametrize("route", [route for route in MATRIX if not route.endswith(("/accept", "/projects"))])
async def test_a_foreign_tenant_is_like_one_that_never_was(
    console: Console, tenant: Tenant, route: str
) -> None:
    """The token selects a tenant that the caller is no member of; what is open there must not show."""
    _, outsider = await console.add_tenant()
    await offer(console, tenant)
    id_, options = await MATRIX[route].prepare(console, tenant)
    if route == "GET /projects/{project_id}":
        id_ = never_was("ten_")
    there = await ask(console, route, id_, headers=console.as_(outsider, tenant.tenant_id), **options)
    nowhere = await ask(console, route, id_, headers=console.as_(outsider, never_was("ten_")), **options)
    assert there.status_code == nowhere.status_code
    if there.is_error:
        assert without_identity(there) == without_identity(nowhere)


@pytest.mark.parametrize(
    "path", ["/users", "/tenant/users", "/invitations", "/support/tickets", "/billing/invoices"]
)
async def test_a_foreign_cursor_is_refused(console: Console, tenant: Tenant, path: str) -> None:
    own_tenant, caller = await console.add_tenant()
    for of in ((tenant.tenant_id, tenant.owner), (own_tenant, caller)):
        await fill(console, *of)
    theirs = await console.client.get(
        path, params={"limit": "1"}, headers=console.as_(tenant.owner, tenant.tenant_id)
    )
    cursor = theirs.json()["next_cursor"]
    assert cursor is not None
    refused = await console.client.get(
        path, params={"cursor": cursor}, headers=console.as_(caller, own_tenant)
    )
    forged = await console.client.get(
        path, params={"cursor": "Zm9yZ2Vk"}, headers=console.as_(caller, own_tenant)
    )
    assert refused.status_code == 400
    assert without_identity(refused) == without_identity(forged)


async def fill(console: Console, tenant_id: str, owner: str) -> None:
    """Two of everything that is listed."""
    from hoc.cus.account.L5_engines.session import utc_now

    for number in range(2):
        await console.add_member(tenant_id, owner)
        async with console.database.transaction() as session:
            await console.engines.support.create_ticket(
                session, tenant_id, owner, subject="Help", description="Please."
            )
            await console.engines.billing.record_invoice(
                session,
                tenant_id,
                invoice_id=f"inv-{number}",
                period_start=utc_now(),
                period_end=utc_now(),
                amount_cents=100,
                status="paid",
                description="A month",
            )


def never_was(like: str) -> str:
    return f"{like[:4]}{uuid.uuid4().hex}"
