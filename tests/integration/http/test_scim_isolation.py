"""A token shows and changes its own tenant's directory and no other's, and only while it is active."""

from typing import Any

import httpx
import pytest
from support.console import Console
from support.scim_client import BULK, GROUP, PATCH, SEARCH, USER, ScimClient, scim_client, scim_refusal
from support.seed import execute

ABSENT = "scu_00000000000000000000000000000000"
CHANGE = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "Mallory"}]}
EVERY_ROUTE = [
    *[(method, "/Users/{id}") for method in ("GET", "PUT", "PATCH", "DELETE")],
    *[(method, "/Groups/{id}") for method in ("GET", "PUT", "PATCH", "DELETE")],
    *[(method, path) for method in ("GET", "POST") for path in ("/Users", "/Groups")],
    *[("POST", path) for path in ("/.search", "/Users/.search", "/Groups/.search", "/Bulk")],
    *[("GET", path) for path in ("/", "/Schemas", "/ResourceTypes", "/Me")],
]


def _body(method: str, path: str) -> Any:
    if method == "PATCH":
        return CHANGE
    if method == "PUT":
        is_user = path.startswith("/Users")
        return (
            {"schemas": [USER], "userName": "mallory"}
            if is_user
            else {"schemas": [GROUP], "displayName": "M"}
        )
    return None


@pytest.fixture
async def other(console: Console, scim: httpx.AsyncClient) -> ScimClient:
    return await scim_client(console, scim)


async def test_foreign_ids_are_as_ids_that_never_were(directory: ScimClient, other: ScimClient) -> None:
    user = await directory.create_user("ada")
    group = await directory.create_group("Engineers", user["id"])
    before = await directory.everything()
    for method, path in EVERY_ROUTE[:8]:
        for foreign in (user["id"], group["id"]):
            body = _body(method, path)
            refused = await other.call(method, path.format(id=foreign), body)
            absent = await other.call(method, path.format(id=ABSENT), body)
            assert (refused.status_code, refused.json()) == (404, absent.json())
    assert await directory.everything() == before


async def test_a_bulk_changes_nothing_foreign(directory: ScimClient, other: ScimClient) -> None:
    user = await directory.create_user("ada")
    group = await directory.create_group("Engineers", user["id"])
    before = await directory.everything()
    operations = [
        {"method": method, "path": path.format(id=foreign), "data": _body(method, path)}
        for method, path in EVERY_ROUTE[:8]
        if method != "GET"
        for foreign in (user["id"], group["id"])
    ]
    answer = await other.done("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    assert [each["status"] for each in answer["Operations"]] == ["404"] * len(operations)
    assert await directory.everything() == before


async def test_no_search_finds_another_tenants_rows(directory: ScimClient, other: ScimClient) -> None:
    user = await directory.create_user("ada", externalId="42")
    group = await directory.create_group("Engineers", user["id"])
    of_users = ['userName eq "ada"', 'externalId eq "42"', f'emails.value co "{directory.domain}"']
    of_any = ["meta.created pr", 'not (id eq "")', *(f'id eq "{each["id"]}"' for each in (user, group))]
    searches = {
        "": of_any,
        "/Users": [*of_users, *of_any],
        "/Groups": [f'members.value eq "{user["id"]}"', 'displayName eq "Engineers"', *of_any],
    }
    for path, filters in searches.items():
        for wanted in filters:
            found = await other.done("GET", path or "/", params={"filter": wanted})
            assert (found["totalResults"], found.get("Resources", [])) == (0, []), (path, wanted)
            found = await other.done("POST", f"{path}/.search", {"schemas": [SEARCH], "filter": wanted})
            assert (found["totalResults"], found.get("Resources", [])) == (0, []), (path, wanted)


async def test_a_foreign_user_in_a_group_shows_nothing(directory: ScimClient, other: ScimClient) -> None:
    user = await directory.create_user("ada", displayName="Ada Lovelace")
    account = await directory.person("eve")
    eve = await directory.create_user("eve")
    before = await directory.everything()
    async with other.console.transaction() as session:
        await other.console.engines.scim_group_roles.set(
            session, other.tenant_id, other.owner, "Admins", role="admin"
        )
    group = await other.create_group("Admins", user["id"], eve["id"])
    shown = await other.done("GET", f"/Groups/{group['id']}")
    assert "Ada" not in str(shown)
    await other.call("DELETE", f"/Groups/{group['id']}")
    assert await directory.everything() == before
    assert await directory.role_of(account) == "member"
    assert await other.role_of(account) is None


async def test_a_cursor_is_of_the_token_that_got_it(directory: ScimClient, other: ScimClient) -> None:
    for client in (directory, other):
        for name in ("ada", "bob", "eve"):
            await client.create_user(name)
    page = await directory.done("GET", "/Users", params={"cursor": "", "count": "1"})
    answer = await other.call("GET", "/Users", params={"cursor": page["nextCursor"], "count": "1"})
    assert answer.status_code == 400
    assert answer.json()["scimType"] == "invalidCursor"


async def test_only_an_active_token_is_let_in(directory: ScimClient, other: ScimClient) -> None:
    user = await directory.create_user("ada")
    before = await directory.everything()
    console, engines = directory.console, directory.console.engines
    async with console.transaction() as session:
        revoked, expired = [
            await engines.scim_tokens.create(session, directory.tenant_id, directory.owner, name=name)
            for name in ("revoked", "expired")
        ]
        await engines.scim_tokens.revoke(session, directory.tenant_id, directory.owner, revoked.id)
    await execute(
        console.database,
        "UPDATE account.scim_tokens SET expires_at = now() - interval '1 s' WHERE token_id = :id",
        id=expired.id,
    )
    secret = directory.token.rpartition(".")[2]
    wrong = [
        "",
        "Bearer",
        f"Basic {directory.token}",
        directory.token,
        *(
            f"Bearer {token}"
            for token in (
                revoked.token,
                expired.token,
                f"{directory.token}x",
                directory.token[:-1],
                f"hoc_scim_{other.tenant_id}.{secret}",
                f"hoc_scim_{directory.tenant_id}.",
                f"hoc_scim_{directory.tenant_id}%00.{secret}",
            )
        ),
        console.as_(directory.owner, directory.tenant_id, "accounts:admin")["Authorization"],
    ]
    for authorization in wrong:
        for method, path in EVERY_ROUTE:
            answer = await directory.call(
                method,
                path.format(id=user["id"]),
                _body(method, path),
                headers={"Authorization": authorization},
            )
            assert answer.status_code == 401, (authorization, method, path)
            assert scim_refusal(answer).startswith("A valid SCIM token is required")
            assert answer.headers["www-authenticate"] == 'Bearer realm="SCIM"'
    assert await directory.everything() == before


async def test_a_directorys_token_opens_no_other_route(directory: ScimClient) -> None:
    console = directory.console
    headers = {"Authorization": f"Bearer {directory.token}"}
    for answer in (
        await console.client.get("/users", headers=headers),
        await console.client.get("/scim/tokens", headers=headers),
        await console.identity.get("/accounts", headers=headers),
    ):
        assert answer.status_code == 401
