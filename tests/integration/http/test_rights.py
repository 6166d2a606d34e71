"""Who may do what can change between two requests, and what nobody may do at all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.console import (
    Console,
    Tenant,
    accounts_on,
    new_email,
    problem_of,
    raw,
    serving,
    without_identity,
)

from hoc.mail.mailbox import DevelopmentMailbox

Change = Callable[[Console, Tenant, str], Awaitable[None]]


async def suspend(console: Console, tenant: Tenant, _user_id: str) -> None:
    async with console.database.transaction() as session:
        await console.engines.projects.change_status(session, tenant.tenant_id, "suspended")


async def terminate(console: Console, tenant: Tenant, _user_id: str) -> None:
    async with console.database.transaction() as session:
        await console.engines.projects.change_status(session, tenant.tenant_id, "terminated")


async def remove(console: Console, tenant: Tenant, user_id: str) -> None:
    async with console.database.transaction() as session:
        await console.engines.members.remove(session, tenant.tenant_id, tenant.owner, user_id)


async def demote(console: Console, tenant: Tenant, user_id: str) -> None:
    async with console.database.transaction() as session:
        await console.engines.members.change_role(session, tenant.tenant_id, tenant.owner, user_id, "viewer")


async def deactivate(console: Console, _tenant: Tenant, user_id: str) -> None:
    await console.deactivate(user_id)


async def delete(console: Console, _tenant: Tenant, user_id: str) -> None:
    await console.deactivate(user_id, deleted=True)


@pytest.mark.parametrize(
    ("change", "reads", "manages"),
    [
        (remove, 403, 403),
        (demote, 200, 403),
        (deactivate, 403, 403),
        (delete, 403, 403),
        (suspend, 200, 403),
        (terminate, 403, 403),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_the_next_request_with_the_old_token_has_the_new_rights(
    console: Console, tenant: Tenant, change: Change, reads: int, manages: int
) -> None:
    headers = console.as_(tenant.admin, tenant.tenant_id)

    async def invite(key: str) -> int:
        keyed = headers | {"Idempotency-Key": key}
        body = {"email": f"{tenant.tenant_id}-{key}@example.com"}
        return (await console.client.post("/users/invite", json=body, headers=keyed)).status_code

    async def read() -> int:
        return (await console.client.get("/users", headers=headers)).status_code

    assert (await read(), await invite("first")) == (200, 201)
    await change(console, tenant, tenant.admin)
    assert (await read(), await invite("second")) == (reads, manages)
    # What they were answered before is repeated only to a member.
    assert await invite("first") == (201 if reads == 200 else 403)


async def test_a_token_presented_by_somebody_else_leaves_the_invitation_pending(
    console: Console, tenant: Tenant
) -> None:
    email = new_email()
    invited = await console.add_user(email)
    invitation_id, token = await console.invite(tenant.tenant_id, tenant.owner, email=email)
    path, body = f"/invitations/{invitation_id}/accept", {"token": token}
    for other in (tenant.owner, tenant.viewer, await console.add_user()):
        refused = await console.client.post(path, json=body, headers=console.as_(other))
        assert (refused.status_code, problem_of(refused)["code"]) == (403, "not_your_invitation")
    accepted = await console.client.post(path, json=body, headers=console.as_(invited))
    assert accepted.json() == {
        "success": True,
        "message": "Invitation accepted",
        "tenant_id": tenant.tenant_id,
        "role": "member",
    }


async def test_another_invitations_token_is_refused(console: Console, tenant: Tenant) -> None:
    one, one_token = await console.invite(tenant.tenant_id, tenant.owner)
    other, _ = await console.invite(tenant.tenant_id, tenant.owner)
    body = {"token": one_token}
    assert (await console.client.post(f"/invitations/{other}/accept", json=body)).status_code == 404
    assert (await console.client.post(f"/invitations/{one}/accept", json=body)).status_code == 200


async def test_every_wrong_token_is_answered_alike(console: Console, tenant: Tenant) -> None:
    invitation_id, token = await console.invite(tenant.tenant_id, tenant.owner)
    tenant_id, _, secret = token.partition(".")
    other_tenant, _ = await console.add_tenant()
    wrong = [
        "",
        ".",
        secret,
        f"{tenant_id}.",
        f".{secret}",
        f"{other_tenant}.{secret}",
        token[:-1],
        f"{token}x",
        f" {token}",
        token.swapcase(),
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        "\x00" + token,
        f"{tenant_id}\x00.{secret}",
        token * 20,
        "İ." + secret,
    ]
    answers = [
        await console.client.post(f"/invitations/{invitation_id}/accept", json={"token": each})
        for each in wrong
    ]
    never = await console.client.post("/invitations/inv_never/accept", json={"token": token})
    assert never.status_code == 404
    assert all(without_identity(answer) == without_identity(never) for answer in answers)
    null = await console.client.post(f"/invitations/{invitation_id}/accept", json={"token": None})
    assert (null.status_code, problem_of(null)["errors"][0]["pointer"]) == (400, "/token")
    right = await console.client.post(f"/invitations/{invitation_id}/accept", json={"token": token})
    assert right.status_code == 200


async def test_an_address_known_elsewhere_is_invited_like_an_unknown_one(
    console: Console, tenant: Tenant
) -> None:
    known, pending = new_email(), new_email()
    await console.add_user(known)
    other_tenant, other_owner = await console.add_tenant()
    await console.invite(other_tenant, other_owner, email=pending)
    headers = console.as_(tenant.admin, tenant.tenant_id)
    answers = [
        await console.client.post("/users/invite", json={"email": email}, headers=headers)
        for email in (known, pending, new_email())
    ]
    shapes = [
        (answer.status_code, set(answer.headers), set(answer.json()), answer.json()["status"])
        for answer in answers
    ]
    assert shapes[0][0] == 201
    assert shapes[0] == shapes[1] == shapes[2]


async def test_the_public_route_does_not_tell_whether_an_address_has_an_account(
    console: Console, tenant: Tenant
) -> None:
    """Neither a wrong nor the right token shows it: status, headers and body are the same."""
    known = new_email()
    await console.add_user(known)
    answers: list[list[object]] = []
    for email in (known, new_email()):
        invitation_id, token = await console.invite(tenant.tenant_id, tenant.owner, email=email)
        path = f"/invitations/{invitation_id}/accept"
        refused = await console.client.post(path, json={"token": f"{token}x"})
        accepted = await console.client.post(path, json={"token": token})
        again = await console.client.post(path, json={"token": token})
        answers.append(
            [
                without_identity(refused),
                *((answer.status_code, set(answer.headers), answer.json()) for answer in (accepted, again)),
            ]
        )
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/projects", {"name": "Mine"}),
        ("POST", "/users/invite", {"email": "someone@example.com"}),
        ("PUT", "/users/{viewer}/role", {"role": "member"}),
        ("PUT", "/profile", {"display_name": "Me"}),
        ("POST", "/support/tickets", {"subject": "Help", "description": "Please."}),
        ("POST", "/tenant/ownership-transfer", {"to_user_id": "{viewer}"}),
        ("POST", "/invitations/inv_1/resend", {}),
        ("POST", "/invitations/inv_1/accept", {"token": "x"}),
    ],
)
@pytest.mark.parametrize("extra", ["tenant_id", "user_id", "role", "plan", "status", "é", "a/b~c"])
async def test_unknown_fields_are_refused(  # noqa: PLR0917 - pytest passes by name
    console: Console, tenant: Tenant, method: str, path: str, body: dict[str, str], extra: str
) -> None:
    if extra in body or (extra == "role" and path == "/users/invite"):
        return
    headers = console.as_(tenant.owner, tenant.tenant_id)
    path = path.format(viewer=tenant.viewer)
    answer = await console.client.request(method, path, json=body | {extra: "owner"}, headers=headers)
    assert answer.status_code == 400
    pointer = "/" + extra.replace("~", "~0").replace("/", "~1")
    assert [error["pointer"] for error in problem_of(answer)["errors"]] == [pointer]


async def test_a_form_cannot_pose_as_json(console: Console, tenant: Tenant) -> None:
    """What a browser may send without asking first is not read (CVE-2021-32677)."""
    headers = console.as_(tenant.owner, tenant.tenant_id)
    content = b'{"email": "someone@example.com"}'
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"):
        answer = await console.client.post(
            "/users/invite", content=content, headers=headers | {"Content-Type": media_type}
        )
        assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported_media_type")
    missing = console.client.build_request("POST", "/users/invite", content=content, headers=headers)
    assert "content-type" not in missing.headers
    assert (await console.client.send(missing)).status_code == 415


async def test_forged_hosts_leave_links_unchanged(fresh_database_url: str, tmp_path: Path) -> None:
    accounts, keys = accounts_on(fresh_database_url, tmp_path, public_url="https://app.example.com/join")
    async with serving(accounts, keys) as console:
        tenant_id, owner = await console.add_tenant()
        forged = {
            "Host": "evil.example",
            "Forwarded": "host=evil.example;proto=http",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Prefix": "/evil",
            "X-Original-URL": "/evil",
            "Origin": "https://evil.example",
            "Referer": "https://evil.example/",
        }
        answer = await console.client.post(
            "/users/invite", json={"email": new_email()}, headers=console.as_(owner, tenant_id) | forged
        )
        async with accounts.lifespan():
            while not (mails := DevelopmentMailbox(tmp_path / "mailbox").read()):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
    [mail] = mails
    assert mail.link.startswith(f"https://app.example.com/join/invitations/{answer.json()['id']}#token=")
    assert "evil" not in answer.text + str(answer.headers)


async def test_a_forged_host_leaves_links_between_pages_unchanged(console: Console, tenant: Tenant) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    hosts = (
        "evil.example",
        "evil.example/x",
        "[",
        "[::1",
        "a@b",
        "",
        "é",
        "x?y",
        "x#y",
        "evil.example:99999",
    )
    for host in hosts:
        answer = await console.client.get(
            "/users", params={"limit": "1"}, headers=raw(headers, "Host", host.encode())
        )
        assert answer.headers["link"].startswith("</accounts/users?limit=1&cursor="), host
        missing = await console.client.get("/nothing", headers=raw(headers, "Host", host.encode()))
        assert problem_of(missing)["instance"] == "/accounts/nothing", host
