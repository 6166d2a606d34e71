"""Each route, called by each kind of caller: rights, and no hint of another tenant's data."""

import uuid

import pytest
from support.console import MOUNT, Console, Headers, problem_of, without_identity
from support.routes import CALLERS, OPERATIONS, ROUTES, WITH_ID, Route, Values, callers_of, offer
from support.seed import scalar
from support.world import Team

ACCEPT = f"POST {MOUNT}/invitations/{{invitation_id}}/accept"
PROJECTS = (f"GET {MOUNT}/projects", f"POST {MOUNT}/projects")


def test_every_operation_is_in_the_table() -> None:
    assert set(ROUTES) == set(OPERATIONS)


@pytest.mark.parametrize("label", ROUTES)
async def test_each_caller_is_answered_as_the_table_says(console: Console, team: Team, label: str) -> None:
    """A refused call leaves the account that it names unchanged."""
    route, headers = ROUTES[label], await callers_of(console, team)
    answered: dict[str, int] = {}
    for caller in CALLERS[route.mount]:
        values = await route.prepare(console, team)
        before = await stored_account(console, values)
        answer = await console.client.request(**route.request(values), headers=headers(caller, values))
        answered[caller] = answer.status_code
        if answer.is_error:
            assert await stored_account(console, values) == before
            if route.operation.scopes:
                code = "not_authenticated" if caller == "anonymous" else "missing_scope"
                assert problem_of(answer)["code"] == code
    assert answered == dict(zip(CALLERS[route.mount], map(int, route.answers.split()), strict=True))


async def stored_account(console: Console, values: Values) -> object:
    query = "SELECT to_jsonb(u)::text FROM account.users u WHERE user_id = :user"
    return await scalar(console.database, query, user=values.get("user_id"))


@pytest.mark.parametrize("route", [each for each in WITH_ID if each.mount == MOUNT], ids=str)
async def test_a_foreign_id_is_like_one_that_never_was(console: Console, team: Team, route: Route) -> None:
    own_tenant, caller = await console.tenant()
    headers = console.as_(caller, own_tenant)
    theirs = await route.prepare(console, team)
    never = {name: never_was(value) for name, value in theirs.items()}
    if "token" in theirs:
        # A foreign invitation with a token of one's own tenant, the only kind that an attacker has.
        theirs["token"] = never["token"] = (await console.invite(own_tenant, caller))[1]
    foreign = await console.client.request(**route.request(theirs), headers=headers)
    nothing = await console.client.request(**route.request(never), headers=headers)
    assert foreign.status_code == 404
    assert without_identity(foreign) == without_identity(nothing)


async def test_a_foreign_id_in_a_body_is_like_one_that_never_was(console: Console, team: Team) -> None:
    own_tenant, caller = await console.tenant()
    headers = console.as_(caller, own_tenant)
    path = "/tenant/ownership-transfer"
    foreign = await console.client.post(path, json={"to_user_id": team.member}, headers=headers)
    never = await console.client.post(path, json={"to_user_id": never_was("usr_")}, headers=headers)
    assert foreign.status_code == 404
    assert without_identity(foreign) == without_identity(never)


@pytest.mark.parametrize(
    "route",
    [each for each in ROUTES.values() if each.mount == MOUNT and each.label not in (*PROJECTS, ACCEPT)],
    ids=str,
)
async def test_a_foreign_tenant_is_like_one_that_never_was(
    console: Console, team: Team, route: Route
) -> None:
    """The token selects a tenant that the caller does not belong to, whose open offer must not show."""
    _, outsider = await console.tenant()
    await offer(console, team)
    values = await route.prepare(console, team)
    if "project_id" in values:
        values["project_id"] = never_was("ten_")
    there, nowhere = [
        await console.client.request(**route.request(values), headers=console.as_(outsider, tenant_id))
        for tenant_id in (team.tenant_id, never_was("ten_"))
    ]
    assert there.status_code == nowhere.status_code
    if there.is_error:
        assert without_identity(there) == without_identity(nowhere)


@pytest.mark.parametrize(
    "path", ["/users", "/tenant/users", "/invitations", "/support/tickets", "/billing/invoices", "/audit"]
)
async def test_a_foreign_cursor_is_refused(console: Console, path: str) -> None:
    headers: list[Headers] = []
    for _ in range(2):
        tenant_id, owner = await console.tenant()
        await console.fill(tenant_id, owner, 2)
        headers.append(console.as_(owner, tenant_id))
    theirs = await console.client.get(path, params={"limit": "1"}, headers=headers[0])
    cursor = theirs.json()["next_cursor"]
    assert cursor is not None
    refused, forged = [
        await console.client.get(path, params={"cursor": given}, headers=headers[1])
        for given in (cursor, "Zm9yZ2Vk")
    ]
    assert refused.status_code == 400
    assert without_identity(refused) == without_identity(forged)


def never_was(like: str) -> str:
    return f"{like[:4]}{uuid.uuid4().hex}"
