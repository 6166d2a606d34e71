"""The requests that Entra ID's documentation of provisioning by SCIM shows, in their order.

See https://learn.microsoft.com/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups.
"""

from typing import Any

from support.scim_client import ENTERPRISE, GROUP, PATCH, USER, ScimClient, scim_refusal

NOBODY = "non-existent user"


def _profile(directory: ScimClient) -> dict[str, Any]:
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": f"ada@{directory.domain}",
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": f"ada@{directory.domain}"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada"},
        "roles": [],
        ENTERPRISE: {"department": "Engines", "employeeNumber": "42"},
    }


async def test_entra_tests_the_connection(directory: ScimClient) -> None:
    listed = await directory.done("GET", "/Users", params={"filter": f'userName eq "{NOBODY}"'})
    assert (listed["totalResults"], listed.get("Resources", [])) == (0, [])
    assert "Resources" in listed


async def test_entra_manages_a_user(directory: ScimClient) -> None:
    account = await directory.person("ada")
    created = await directory.done("POST", "/Users", _profile(directory))
    path = f"/Users/{created['id']}"
    assert created["externalId"] == "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"
    assert created[ENTERPRISE] == {"department": "Engines", "employeeNumber": "42"}
    assert await directory.role_of(account) == "member"
    for wanted in (
        f'userName eq "ADA@{directory.domain}"',
        f'externalId eq "{created["externalId"]}"',
        f'emails[type eq "work"].value eq "ada@{directory.domain}"',
        f'emails[type eq "work" and value eq "ada@{directory.domain}"]',
    ):
        listed = await directory.done("GET", "/Users", params={"filter": wanted})
        assert [each["id"] for each in listed["Resources"]] == [created["id"]], wanted

    patched = await directory.patch(
        path,
        {"op": "Replace", "path": "name.familyName", "value": "King"},
        {"op": "Add", "path": 'emails[type eq "home"].value', "value": "ada@home.example"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": f"countess@{directory.domain}"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+44 20 7946 0000"},
        {"op": "Add", "path": 'addresses[type eq "work"].locality', "value": "London"},
        {"op": "Replace", "path": 'roles[primary eq "True"].value', "value": "Countess"},
        {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Analysis"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "bab0ebb0-3d5c-4a54-8b7d-0a3f5c7e3e1f"},
    )
    assert patched["name"]["familyName"] == "King"
    assert {each["type"]: each["value"] for each in patched["emails"]} == {
        "work": f"countess@{directory.domain}",
        "home": "ada@home.example",
    }
    assert patched["phoneNumbers"][0]["value"] == "+44 20 7946 0000"
    assert patched["addresses"][0]["locality"] == "London"
    assert patched[ENTERPRISE]["department"] == "Analysis"
    assert patched[ENTERPRISE]["manager"]["value"] == "bab0ebb0-3d5c-4a54-8b7d-0a3f5c7e3e1f"

    # Without a path, the value is an object, whose names may be paths.
    patched = await directory.patch(
        path,
        {
            "op": "Add",
            "value": {"displayName": "Ada", "name.givenName": "Augusta", f"{ENTERPRISE}:division": "A"},
        },
    )
    assert (patched["displayName"], patched["name"]["givenName"]) == ("Ada", "Augusta")
    assert patched[ENTERPRISE]["division"] == "A"
    patched = await directory.patch(path, {"op": "Remove", "path": f"{ENTERPRISE}:manager"})
    assert "manager" not in patched[ENTERPRISE]
    patched = await directory.patch(path, {"op": "Replace", "path": "userName", "value": "countess"})
    assert patched["userName"] == "countess"


async def test_entra_gives_a_user_a_manager(directory: ScimClient) -> None:
    """As a list of one, at an attribute of the extension without its URN; and looks for both by a bare id."""
    ada, boss = [await directory.create_user(name) for name in ("ada", "boss")]

    async def found(wanted: str) -> int:
        params = {"filter": f'id eq "{ada["id"]}" and {wanted}', "attributes": "id"}
        total: int = (await directory.done("GET", "/Users", params=params))["totalResults"]
        return total

    by_manager = (f'manager eq "{boss["id"]}"', f'{ENTERPRISE}:manager eq "{boss["id"]}"', "manager pr")
    assert [await found(wanted) for wanted in by_manager] == [0, 0, 0]
    reference = {"$ref": f"https://accounts.example.com/Users/{boss['id']}", "value": boss["id"]}
    patched = await directory.patch(
        f"/Users/{ada['id']}", {"op": "Add", "path": "manager", "value": [reference]}
    )
    assert patched[ENTERPRISE]["manager"]["value"] == boss["id"]
    assert [await found(wanted) for wanted in by_manager] == [1, 1, 1]
    assert await found(f'not (manager eq "{boss["id"]}")') == 0

    path = f"/Users/{ada['id']}"
    patched = await directory.patch(path, {"op": "replace", "path": f"{ENTERPRISE}.manager", "value": "x"})
    assert patched[ENTERPRISE]["manager"] == {"value": "x"}
    created = await directory.create_user("carl", **{ENTERPRISE: {"Manager": {"Value": boss["id"]}}})
    assert created[ENTERPRISE]["manager"]["value"] == boss["id"]

    two = {"op": "Add", "path": "manager", "value": [reference, reference]}
    refused = await directory.call("PATCH", f"/Users/{ada['id']}", {"schemas": [PATCH], "Operations": [two]})
    assert scim_refusal(refused) == "Input should be a valid dictionary or instance of Manager: manager"


async def test_entra_disables_and_restores_a_user(directory: ScimClient) -> None:
    """It sends booleans as text, unless it is told otherwise."""
    account = await directory.person("ada")
    user = await directory.done("POST", "/Users", _profile(directory))
    path = f"/Users/{user['id']}"
    for active in ("False", "True", False, True):
        patched = await directory.patch(path, {"op": "Replace", "path": "active", "value": active})
        assert patched["active"] is (active in {"True", True})
        assert await directory.role_of(account) == ("member" if patched["active"] else None)
    answer = await directory.call("DELETE", path)
    assert answer.status_code == 204
    assert await directory.role_of(account) is None
    assert (await directory.call("GET", path)).status_code == 404
    again = await directory.done("POST", "/Users", _profile(directory))
    assert again["id"] != user["id"]
    assert await directory.role_of(account) == "member"


async def test_entra_manages_a_group(directory: ScimClient) -> None:
    console = directory.console
    async with console.transaction() as session:
        await console.engines.scim_group_roles.set(
            session, directory.tenant_id, directory.owner, "Admins", role="admin"
        )
    accounts = [await directory.person(name) for name in ("ada", "bob")]
    ada, bob = [await directory.create_user(name) for name in ("ada", "bob")]
    body = {
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "Admins",
        "meta": {"resourceType": "Group"},
    }
    group = await directory.done("POST", "/Groups", body)
    path = f"/Groups/{group['id']}"

    async def roles() -> list[str | None]:
        return [await directory.role_of(account) for account in accounts]

    listed = await directory.done(
        "GET", "/Groups", params={"excludedAttributes": "members", "filter": 'displayName eq "Admins"'}
    )
    assert [each["id"] for each in listed["Resources"]] == [group["id"]]
    added = [{"$ref": None, "value": each["id"]} for each in (ada, bob)]
    await directory.patch(path, {"op": "Add", "path": "members", "value": added})
    assert await roles() == ["admin", "admin"]
    shown = await directory.done("GET", path, params={"excludedAttributes": "members"})
    assert "members" not in shown
    for user in (ada, bob):
        wanted = f'id eq "{group["id"]}" and members eq "{user["id"]}"'
        listed = await directory.done("GET", "/Groups", params={"filter": wanted})
        assert listed["totalResults"] == 1
    # The members to remove stand in the value, or in the path.
    await directory.patch(path, {"op": "Remove", "path": "members", "value": added[:1]})
    assert await roles() == ["member", "admin"]
    await directory.patch(path, {"op": "Remove", "path": f'members[value eq "{bob["id"]}"]'})
    await directory.patch(path, {"op": "Add", "path": "members", "value": added})
    await directory.patch(path, {"op": "Remove", "path": "members", "value": added[0]})
    assert await roles() == ["member", "admin"]
    await directory.patch(path, {"op": "Remove", "path": "members"})
    assert await roles() == ["member", "member"]
    patched = await directory.patch(path, {"op": "Replace", "path": "displayName", "value": "Readers"})
    assert patched["displayName"] == "Readers"
    assert (await directory.call("DELETE", path)).status_code == 204
