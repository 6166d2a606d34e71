"""The tenant's rules hold for its directory: what breaks one is refused, and changes nothing."""

from typing import Any

import httpx
from support.console import Console
from support.scim_client import BULK, PATCH, USER, ScimClient, scim_client, scim_refusal

INACTIVE = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
ACTIVE = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": True}}]}


async def _last_owner(directory: ScimClient) -> tuple[str, dict[str, Any]]:
    """The account of the tenant's only owner, and the user that it is."""
    console, email = directory.console, directory.console.new_email()
    account = await console.join(directory.tenant_id, directory.owner, "owner", email=email)
    user = await directory.create_user("ada", emails=[{"value": email}])
    async with console.transaction() as session:
        await console.engines.members.leave(session, directory.tenant_id, directory.owner)
    return account, user


async def test_the_last_owner_stays_and_the_bulk_goes_on(directory: ScimClient) -> None:
    account, user = await _last_owner(directory)
    path = f"/Users/{user['id']}"
    operations = [
        {"method": "PATCH", "path": path, "data": INACTIVE},
        {"method": "PUT", "path": path, "data": {"schemas": [USER], "userName": "ada", "active": False}},
        {"method": "DELETE", "path": path},
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": {"schemas": [USER], "userName": "eve"}},
    ]
    answer = await directory.done("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    assert [each["status"] for each in answer["Operations"]] == ["409", "409", "409", "201"]
    for method, body in (("PATCH", INACTIVE), ("DELETE", None)):
        refused = await directory.call(method, path, body)
        assert refused.status_code == 409
        detail = scim_refusal(refused)
        assert "last owner" in detail
        assert "Make another member an owner in the tenant's console" in detail
    assert await directory.done("GET", path) == user
    assert await directory.role_of(account) == "owner"


async def test_without_a_seat_no_row_is_kept(console: Console, scim: httpx.AsyncClient) -> None:
    directory = await scim_client(console, scim, seats=1)
    account = await directory.person("ada")
    for name in ("ada", "eve"):
        body = {"schemas": [USER], "userName": name, "emails": [{"value": f"{name}@{directory.domain}"}]}
        refused = await directory.call("POST", "/Users", body)
        assert refused.status_code == 409
        assert "member" in scim_refusal(refused)
    assert (await directory.everything())["totalResults"] == 0
    user = await directory.create_user("ada", active=False)
    refused = await directory.call("PATCH", f"/Users/{user['id']}", ACTIVE)
    assert refused.status_code == 409
    assert await directory.done("GET", f"/Users/{user['id']}") == user
    assert await directory.role_of(account) is None


async def test_a_suspended_tenants_directory_is_closed(directory: ScimClient) -> None:
    account = await directory.person("ada")
    user = await directory.create_user("ada")
    before = await directory.everything()
    await directory.console.suspend(directory.tenant_id)
    for method, path, body in (
        ("GET", "/Users", None),
        ("PATCH", f"/Users/{user['id']}", INACTIVE),
        ("DELETE", f"/Users/{user['id']}", None),
        ("POST", "/Users", {"schemas": [USER], "userName": "eve"}),
    ):
        refused = await directory.call(method, path, body)
        assert refused.status_code == 401
        assert "suspended" in scim_refusal(refused)
    await directory.console.suspend(directory.tenant_id, "active")
    assert await directory.everything() == before
    assert await directory.role_of(account) == "member"


async def test_a_taken_name_is_refused_whatever_its_case(directory: ScimClient) -> None:
    ada, eve = await directory.create_user("ada"), await directory.create_user("eve")
    for method, path in (("POST", "/Users"), ("PUT", f"/Users/{eve['id']}")):
        refused = await directory.call(method, path, {"schemas": [USER], "userName": "ADA"})
        assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    assert await directory.done("GET", f"/Users/{eve['id']}") == eve
    assert await directory.done("GET", f"/Users/{ada['id']}") == ada
