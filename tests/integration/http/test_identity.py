"""The identity service over HTTP: what its operations answer."""

import uuid
from typing import Any
from urllib.parse import quote

from support.console import HOST, IDENTITY_MOUNT, Console, problem_of

PREFIX = "/accounts"
READ, WRITE, ADMIN = "accounts:read", "accounts:write", "accounts:admin"


def new_account(console: Console) -> dict[str, str]:
    return {"user_id": console.new_id(), "email": console.new_email(), "name": "Ada"}


async def test_an_address_with_a_slash_is_found(console: Console) -> None:
    admin = console.scoped("accounts:admin")
    user_id = console.new_id()
    email = f"dept/a=%2F+{console.new_email()}"
    body = {"user_id": user_id, "email": email, "name": "Dept"}
    assert (await console.identity.post(f"{PREFIX}/ensure", json=body, headers=admin)).status_code == 201
    found = await console.identity.get(f"{PREFIX}/by-email/{quote(email, safe='')}", headers=admin)
    assert (found.status_code, found.json()["user_id"]) == (200, user_id)


async def ensured(console: Console) -> dict[str, Any]:
    answer = await console.identity.post(
        f"{PREFIX}/ensure", json=new_account(console), headers=console.scoped(WRITE)
    )
    assert answer.status_code == 201
    account: dict[str, Any] = answer.json()
    return account


async def test_a_refusal_does_not_tell_whether_an_account_exists(console: Console) -> None:
    account = await ensured(console)
    headers = console.as_(f"usr_{uuid.uuid4().hex}")
    for path in ("profile/{}", "by-email/{}"):
        there, nowhere = [
            await console.identity.get(f"{PREFIX}/{path.format(name)}", headers=headers)
            for name in (account["user_id"], "nobody")
        ]
        assert there.status_code == nowhere.status_code == 403
        assert there.json()["detail"] == nowhere.json()["detail"]


async def test_ensuring_answers_201_then_200_with_the_stored_account(console: Console) -> None:
    headers, account = console.scoped(WRITE), new_account(console)
    made = await console.identity.post(f"{PREFIX}/ensure", json=account, headers=headers)
    assert made.status_code == 201
    assert made.json() == account | {
        "is_active": True,
        "preferences": {},
        "created_at": made.json()["created_at"],
        "updated_at": made.json()["created_at"],
    }
    for body in (account, new_account(console) | {"user_id": account["user_id"]}):
        again = await console.identity.post(f"{PREFIX}/ensure", json=body, headers=headers)
        assert (again.status_code, again.json()) == (200, made.json())
    taken = new_account(console) | {"email": account["email"].upper()}
    refused = await console.identity.post(f"{PREFIX}/ensure", json=taken, headers=headers)
    assert refused.status_code == 400
    assert [error["pointer"] for error in problem_of(refused)["errors"]] == ["/email"]


async def test_each_change_of_an_account_shows_in_the_next_answer(console: Console) -> None:
    account, admin = await ensured(console), console.scoped(ADMIN)
    user_id, own = account["user_id"], console.as_(account["user_id"])
    profile, status = f"{PREFIX}/profile/{user_id}", f"{PREFIX}/status/{user_id}"
    email = console.new_email()
    changed = await console.identity.put(profile, json={"name": "Eve", "email": email}, headers=admin)
    assert (changed.json()["name"], changed.json()["email"]) == ("Eve", email)
    merged = await console.identity.put(f"{PREFIX}/preferences/{user_id}", json={"a": {"b": 1}}, headers=own)
    assert merged.json() == {"message": "Preferences updated successfully"}
    assert (await console.identity.get(profile, headers=own)).json()["preferences"] == {"a": {"b": 1}}
    found = await console.identity.get(f"{PREFIX}/by-email/{email.upper()}", headers=admin)
    assert found.json()["user_id"] == user_id
    off = await console.identity.put(status, json={"is_active": False, "reason": "asked to"}, headers=admin)
    assert off.json() == {"message": "Account deactivated successfully"}
    for answer in (
        await console.identity.get(profile, headers=own),
        await console.identity.put(profile, json={"name": "Ada"}, headers=own),
        await console.identity.get(f"{PREFIX}/by-email/{email}", headers=admin),
    ):
        assert (answer.status_code, problem_of(answer)["code"]) == (404, "account_not_found")
    on = await console.identity.put(status, json={"is_active": True}, headers=admin)
    assert on.json() == {"message": "Account activated successfully"}
    for _ in range(2):
        gone = await console.identity.delete(profile, params={"reason": "asked to"}, headers=admin)
        assert gone.json() == {"message": "Account deleted successfully"}
    assert (await console.identity.get(profile, headers=own)).status_code == 404


async def test_reviving_onto_a_taken_address_is_refused(console: Console) -> None:
    account, admin = await ensured(console), console.scoped(ADMIN)
    status = f"{PREFIX}/status/{account['user_id']}"
    profile = f"{PREFIX}/profile/{account['user_id']}"
    assert (await console.identity.delete(profile, headers=admin)).status_code == 200
    heir = new_account(console) | {"email": account["email"]}
    assert (await console.identity.post(f"{PREFIX}/ensure", json=heir, headers=admin)).status_code == 201
    refused = await console.identity.put(status, json={"is_active": True}, headers=admin)
    assert refused.status_code == 400
    problem_of(refused)
    found = await console.identity.get(f"{PREFIX}/by-email/{account['email']}", headers=admin)
    assert found.json()["user_id"] == heir["user_id"]


async def test_unknown_accounts_are_not_found(console: Console) -> None:
    admin, nobody = console.scoped(ADMIN), f"usr_{uuid.uuid4().hex}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"profile/{nobody}", None),
        ("PUT", f"profile/{nobody}", {"name": "Ada"}),
        ("DELETE", f"profile/{nobody}", None),
        ("PUT", f"preferences/{nobody}", {}),
        ("PUT", f"status/{nobody}", {"is_active": True}),
        ("GET", f"by-email/{nobody}@example.com", None),
    ]
    for method, path, body in calls:
        answer = await console.identity.request(method, f"{PREFIX}/{path}", json=body, headers=admin)
        assert (answer.status_code, problem_of(answer)["code"]) == (404, "account_not_found")


async def test_a_member_without_an_account_has_no_rights(console: Console) -> None:
    """A change takes effect with the member's next request. A last owner's account is not deleted."""
    tenant_id, ada = await console.tenant()
    bob, eve = [await console.join(tenant_id, ada, role) for role in ("owner", "admin")]
    admin = console.scoped(ADMIN)

    async def reads(user_id: str) -> int:
        return (await console.client.get("/users", headers=console.as_(user_id, tenant_id))).status_code

    assert await reads(eve) == 200
    for is_active, expected in ((False, 403), (True, 200)):
        await console.identity.put(f"{PREFIX}/status/{eve}", json={"is_active": is_active}, headers=admin)
        assert await reads(eve) == expected
    await console.identity.delete(f"{PREFIX}/profile/{eve}", headers=admin)
    assert await reads(eve) == 403
    gone = await console.identity.delete(f"{PREFIX}/profile/{ada}", headers=admin)
    assert gone.status_code == 200
    kept = await console.identity.delete(f"{PREFIX}/profile/{bob}", headers=admin)
    assert (kept.status_code, problem_of(kept)["code"]) == (409, "last_owner")
    assert await reads(bob) == 200


async def test_a_list_is_walked_by_its_links(console: Console) -> None:
    name, headers = uuid.uuid4().hex, console.scoped(ADMIN)
    ids: list[str] = []
    for _ in range(5):
        body = new_account(console) | {"name": name}
        ids.insert(0, body["user_id"])
        await console.identity.post(f"{PREFIX}/ensure", json=body, headers=headers)
    found: list[str] = []
    url = f"{IDENTITY_MOUNT}{PREFIX}?page=1&page_size=2&search={name}&is_active=all"
    while url:
        answer = await console.identity.get(f"{HOST}{url}", headers=headers)
        page = answer.json()
        assert (page["total"], page["pages"], page["page_size"], page["total_capped"]) == (5, 3, 2, False)
        found += [account["user_id"] for account in page["accounts"]]
        assert (page["next_cursor"] is None) is ("next" not in answer.links)
        url = answer.links.get("next", {}).get("url", "")
    assert found == ids
    pages = [
        await console.identity.get(
            PREFIX, params={"page": number, "page_size": 2, "search": name}, headers=headers
        )
        for number in (1, 2, 3)
    ]
    assert [account["user_id"] for page in pages for account in page.json()["accounts"]] == ids
    for is_active, total in (("true", 5), ("false", 0), ("all", 5)):
        params = {"is_active": is_active, "search": name}
        assert (await console.identity.get(PREFIX, params=params, headers=headers)).json()["total"] == total


async def test_a_search_finds_inactive_accounts_when_asked_to(console: Console) -> None:
    account, headers = await ensured(console), console.scoped(ADMIN)
    params = {"query": account["email"][:20].upper(), "limit": "2"}
    search = f"{PREFIX}/search"
    [found] = (await console.identity.get(search, params=params, headers=headers)).json()
    assert found == {name: account[name] for name in ("user_id", "email", "name", "is_active", "created_at")}
    await console.identity.delete(f"{PREFIX}/profile/{account['user_id']}", headers=headers)
    assert (await console.identity.get(search, params=params, headers=headers)).json() == []
    for value, count in (("false", 0), ("true", 1)):
        asked = params | {"include_inactive": value}
        assert len((await console.identity.get(search, params=asked, headers=headers)).json()) == count
