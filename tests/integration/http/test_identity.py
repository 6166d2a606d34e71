"""The identity service over HTTP: who may call what, and what is answered."""

import uuid
from typing import Any

import pytest
from support.console import HOST, IDENTITY_MOUNT, Console, Tenant, new_email, problem_of

from hoc.cus.account.L2_api.identity import PREFIX

READ, WRITE, ADMIN = "accounts:read", "accounts:write", "accounts:admin"
CALLERS = ("read", "write", "admin", "own", "other", "anonymous")

# Whom each operation lets in; everybody else gets 403, who is nobody 401.
ALLOWED: dict[str, set[str]] = {
    f"POST {PREFIX}/ensure": {"write", "admin"},
    f"GET {PREFIX}/profile/{{user_id}}": {"read", "admin", "own"},
    f"PUT {PREFIX}/profile/{{user_id}}": {"write", "admin", "own"},
    f"DELETE {PREFIX}/profile/{{user_id}}": {"admin"},
    f"PUT {PREFIX}/preferences/{{user_id}}": {"write", "admin", "own"},
    f"GET {PREFIX}": {"admin"},
    f"GET {PREFIX}/search": {"read", "admin"},
    f"GET {PREFIX}/by-email/{{email}}": {"read", "admin"},
    f"PUT {PREFIX}/status/{{user_id}}": {"admin"},
    f"GET {PREFIX}/stats": {"admin"},
    "GET /events": {"admin"},
}


def new_account() -> dict[str, str]:
    return {"user_id": f"usr_{uuid.uuid4().hex}", "email": new_email(), "name": "Ada"}


async def ensured(console: Console) -> dict[str, Any]:
    answer = await console.identity.post(
        f"{PREFIX}/ensure", json=new_account(), headers=console.scoped(WRITE)
    )
    assert answer.status_code == 201
    account: dict[str, Any] = answer.json()
    return account


def headers_of(console: Console, caller: str, user_id: str) -> dict[str, str]:
    match caller:
        case "own":
            return console.as_(user_id)
        case "other":
            return console.as_(f"usr_{uuid.uuid4().hex}")
        case "anonymous":
            return {}
        case _:
            return console.scoped(f"accounts:{caller}")


async def test_the_matrix_has_every_operation(console: Console) -> None:
    document = (await console.identity.get("/openapi.json")).json()
    assert set(ALLOWED) == {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("label", ALLOWED)
async def test_who_may_call_what(console: Console, label: str, caller: str) -> None:
    account = await ensured(console)
    method, _, path = label.partition(" ")
    bodies: dict[str, Any] = {
        f"POST {PREFIX}/ensure": new_account(),
        f"PUT {PREFIX}/profile/{{user_id}}": {"name": "Eve"},
        f"PUT {PREFIX}/preferences/{{user_id}}": {"theme": "dark"},
        f"PUT {PREFIX}/status/{{user_id}}": {"is_active": False, "reason": "asked to"},
    }
    answer = await console.identity.request(
        method,
        path.format(user_id=account["user_id"], email=account["email"]),
        json=bodies.get(label),
        params={"query": account["email"]} if path.endswith("/search") else None,
        headers=headers_of(console, caller, account["user_id"]),
    )
    if caller in ALLOWED[label]:
        assert answer.status_code == (201 if method == "POST" else 200), answer.text
        return
    refusal = problem_of(answer)
    expected = (401, "not_authenticated") if caller == "anonymous" else (403, "missing_scope")
    assert (answer.status_code, refusal["code"]) == expected
    unchanged = await console.identity.get(
        f"{PREFIX}/profile/{account['user_id']}", headers=console.scoped(READ)
    )
    assert unchanged.json() == account


async def test_what_is_refused_says_nothing_of_what_is_there(console: Console) -> None:
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
    headers, account = console.scoped(WRITE), new_account()
    made = await console.identity.post(f"{PREFIX}/ensure", json=account, headers=headers)
    assert made.status_code == 201
    assert made.json() == account | {
        "is_active": True,
        "preferences": {},
        "created_at": made.json()["created_at"],
        "updated_at": made.json()["created_at"],
    }
    for body in (account, new_account() | {"user_id": account["user_id"]}):
        again = await console.identity.post(f"{PREFIX}/ensure", json=body, headers=headers)
        assert (again.status_code, again.json()) == (200, made.json())
    taken = new_account() | {"email": account["email"].upper()}
    refused = await console.identity.post(f"{PREFIX}/ensure", json=taken, headers=headers)
    assert refused.status_code == 400
    assert [error["pointer"] for error in problem_of(refused)["errors"]] == ["/email"]


async def test_an_account_through_its_life(console: Console) -> None:
    account, admin = await ensured(console), console.scoped(ADMIN)
    user_id, own = account["user_id"], console.as_(account["user_id"])
    profile, status = f"{PREFIX}/profile/{user_id}", f"{PREFIX}/status/{user_id}"
    email = new_email()
    changed = await console.identity.put(profile, json={"name": "Eve", "email": email}, headers=own)
    assert (changed.json()["name"], changed.json()["email"]) == ("Eve", email)
    merged = await console.identity.put(f"{PREFIX}/preferences/{user_id}", json={"a": {"b": 1}}, headers=own)
    assert merged.json() == {"message": "Preferences updated successfully"}
    assert (await console.identity.get(profile, headers=own)).json()["preferences"] == {"a": {"b": 1}}
    found = await console.identity.get(f"{PREFIX}/by-email/{email.upper()}", headers=admin)
    assert found.json()["user_id"] == user_id
    off = await console.identity.put(status, json={"is_active": False}, headers=admin)
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
    await console.identity.put(status, json={"is_active": False}, headers=admin)
    heir = new_account() | {"email": account["email"]}
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


async def test_the_next_request_of_a_member_has_no_rights(console: Console, tenant: Tenant) -> None:
    member = console.as_(tenant.admin, tenant.tenant_id)
    assert (await console.client.get("/users", headers=member)).status_code == 200
    status, admin = f"{PREFIX}/status/{tenant.admin}", console.scoped(ADMIN)
    for is_active, expected in ((False, 403), (True, 200)):
        await console.identity.put(status, json={"is_active": is_active}, headers=admin)
        assert (await console.client.get("/users", headers=member)).status_code == expected
    await console.identity.delete(f"{PREFIX}/profile/{tenant.admin}", headers=admin)
    assert (await console.client.get("/users", headers=member)).status_code == 403
    gone = await console.identity.delete(f"{PREFIX}/profile/{tenant.owner}", headers=admin)
    assert gone.status_code == 200
    kept = await console.identity.delete(f"{PREFIX}/profile/{tenant.second_owner}", headers=admin)
    assert (kept.status_code, problem_of(kept)["code"]) == (409, "last_owner")
    owners = console.as_(tenant.second_owner, tenant.tenant_id)
    assert (await console.client.get("/users", headers=owners)).status_code == 200


async def test_a_list_is_walked_by_its_links(console: Console) -> None:
    name, headers = uuid.uuid4().hex, console.scoped(ADMIN)
    ids: list[str] = []
    for _ in range(5):
        body = new_account() | {"name": name}
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
