"""The requests that Okta's documentation of SCIM 2.0 shows, in their order.

See https://developer.okta.com/docs/api/openapi/okta-scim/guides/scim-20.
"""

from typing import Any

from sqlalchemy import text
from support.scim_client import GROUP, PATCH, USER, ScimClient, scim_refusal


async def _found(directory: ScimClient, kind: str, wanted: str) -> list[Any]:
    """Okta looks for a resource before it creates one."""
    params = {"filter": wanted, "startIndex": "1", "count": "100"}
    listed = await directory.done("GET", f"/{kind}", params=params)
    assert listed["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    found: list[Any] = listed.get("Resources", [])
    assert listed["totalResults"] == len(found)
    return found


def _profile(directory: ScimClient) -> dict[str, Any]:
    email = f"ada.lovelace@{directory.domain}"
    return {
        "schemas": [USER],
        "userName": email,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"primary": True, "value": email, "type": "work"}],
        "displayName": "Ada Lovelace",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }


async def test_okta_tests_the_connection(directory: ScimClient) -> None:
    for path, count in (("/Users", "2"), ("/Groups", "100")):
        listed = await directory.done("GET", path, params={"startIndex": "1", "count": count})
        assert (listed["totalResults"], listed["startIndex"]) == (0, 1)


async def test_okta_tests_what_is_refused(directory: ScimClient) -> None:
    """The last steps of its "SCIM 2.0 SPEC" suite."""
    profile = _profile(directory)
    created = await directory.done("POST", "/Users", profile)
    assert scim_refusal(again := await directory.call("POST", "/Users", profile))
    assert again.status_code == 409
    in_capitals = f'userName eq "{profile["userName"].upper()}"'
    assert [each["id"] for each in await _found(directory, "Users", in_capitals)] == [created["id"]]
    assert scim_refusal(unknown := await directory.call("GET", "/Users/00919288221112222"))
    assert unknown.status_code == 404
    stranger = await directory.call("GET", "/Users", headers={"Authorization": "non-token"})
    assert (stranger.status_code, bool(scim_refusal(stranger))) == (401, True)


async def test_okta_keeps_a_user_whom_no_mail_reaches(directory: ScimClient) -> None:
    email = {"primary": True, "value": "test.user@Okta.local", "type": "work"}
    created = await directory.done("POST", "/Users", _profile(directory) | {"emails": [email]})
    assert created["emails"] == [email]
    assert await _found(directory, "Users", 'emails.value eq "test.user@okta.local"') == [created]
    invitations = f"SELECT count(*) FROM account.invitations WHERE tenant_id = '{directory.tenant_id}'"
    async with directory.console.transaction() as session:
        assert await session.scalar(text(invitations)) == 0


async def test_okta_manages_a_user(directory: ScimClient) -> None:
    profile = _profile(directory)
    account = await directory.person("ada.lovelace")
    by_name = f'userName eq "{profile["userName"]}"'
    assert await _found(directory, "Users", by_name) == []
    created = await directory.done("POST", "/Users", profile)
    assert created["name"] == profile["name"]
    assert "password" not in created
    assert await directory.role_of(account) == "member"
    path = f"/Users/{created['id']}"
    assert [each["id"] for each in await _found(directory, "Users", by_name)] == [created["id"]]

    # A change of the profile is a PUT of all that Okta has.
    shown = await directory.done("GET", path)
    middle = {"givenName": "Ada", "middleName": "King", "familyName": "Lovelace"}
    put = await directory.done("PUT", path, shown | {"name": middle})
    assert put["name"] == middle
    assert await directory.role_of(account) == "member"

    patched = await directory.patch(path, {"op": "replace", "value": {"active": False}})
    assert patched["active"] is False
    assert await directory.role_of(account) is None
    [inactive] = await _found(directory, "Users", by_name)
    assert inactive["active"] is False
    await directory.patch(path, {"op": "replace", "value": {"active": True}})
    assert await directory.role_of(account) == "member"
    put = await directory.done("PUT", path, (await directory.done("GET", path)) | {"active": False})
    assert put["active"] is False
    assert await directory.role_of(account) is None


async def test_okta_pushes_a_group(directory: ScimClient) -> None:
    ada, bob = [await directory.create_user(name) for name in ("ada", "bob")]
    assert await _found(directory, "Groups", 'displayName eq "Test SCIMv2"') == []
    group = await directory.done(
        "POST", "/Groups", {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []}
    )
    path = f"/Groups/{group['id']}"

    async def members() -> set[str]:
        shown = await directory.done("GET", path)
        return {each["value"] for each in shown.get("members", [])}

    await directory.patch(
        path,
        {"op": "add", "path": "members", "value": [{"value": ada["id"], "display": "ada"}]},
        {"op": "add", "path": "members", "value": [{"value": bob["id"], "display": "bob"}]},
    )
    assert await members() == {ada["id"], bob["id"]}
    await directory.patch(
        path,
        {"op": "remove", "path": f'members[value eq "{ada["id"]}"]'},
        {"op": "add", "path": "members", "value": [{"value": bob["id"], "display": "bob"}]},
    )
    assert await members() == {bob["id"]}
    renamed = await directory.patch(
        path, {"op": "replace", "value": {"id": group["id"], "displayName": "Test SCIMv0"}}
    )
    assert renamed["displayName"] == "Test SCIMv0"
    await directory.patch(path, {"op": "replace", "path": "members", "value": [{"value": ada["id"]}]})
    assert await members() == {ada["id"]}
    answer = await directory.call("DELETE", path)
    assert answer.status_code == 204
    assert (await directory.call("GET", path)).status_code == 404


async def test_okta_takes_several_operations_in_a_patch(directory: ScimClient) -> None:
    user = await directory.done("POST", "/Users", _profile(directory))
    body = {
        "schemas": [PATCH],
        "Operations": [
            {"op": "replace", "path": "name.familyName", "value": "King"},
            {"op": "replace", "value": {"title": "Countess", "nickName": "Ada"}},
            {"op": "remove", "path": "locale"},
        ],
    }
    patched = await directory.done("PATCH", f"/Users/{user['id']}", body)
    assert (patched["name"]["familyName"], patched["title"], patched["nickName"]) == (
        "King",
        "Countess",
        "Ada",
    )
    assert "locale" not in patched
