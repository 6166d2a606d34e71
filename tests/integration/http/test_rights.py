"""Rights that change between two requests, and calls that nobody may make."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from support.console import Console, Headers, problem_of, raw, serving, without_identity
from support.waiting import until
from support.world import Team

from hoc.mail.mailbox import DevelopmentMailbox

Change = Callable[[Console, Team], Awaitable[None]]


async def suspend(console: Console, team: Team) -> None:
    await console.suspend(team.tenant_id)


async def terminate(console: Console, team: Team) -> None:
    await console.suspend(team.tenant_id, "terminated")


async def remove(console: Console, team: Team) -> None:
    async with console.transaction() as session:
        await console.facade.members.remove(session, team.tenant_id, team.owner, team.admin)


async def demote(console: Console, team: Team) -> None:
    async with console.transaction() as session:
        await console.facade.members.change_role(session, team.tenant_id, team.owner, team.admin, "viewer")


async def deactivate(console: Console, team: Team) -> None:
    await console.deactivate(team.admin)


async def delete(console: Console, team: Team) -> None:
    await console.deactivate(team.admin, deleted=True)


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
    console: Console, team: Team, change: Change, reads: int, manages: int
) -> None:
    headers = console.as_(team.admin, team.tenant_id)

    async def invite(key: str) -> int:
        keyed = headers | {"Idempotency-Key": key}
        body = {"email": f"{team.tenant_id}-{key}@example.com"}
        return (await console.client.post("/users/invite", json=body, headers=keyed)).status_code

    async def read() -> int:
        return (await console.client.get("/users", headers=headers)).status_code

    assert (await read(), await invite("first")) == (200, 201)
    await change(console, team)
    assert (await read(), await invite("second")) == (reads, manages)
    # A stored answer is repeated only to a member.
    assert await invite("first") == (201 if reads == 200 else 403)


async def test_somebody_else_cannot_accept_an_invitation(console: Console, team: Team) -> None:
    """The right token does not help them, and the invitation stays pending for the invited person."""
    email = console.new_email()
    invited = await console.add_user(email)
    invitation_id, token = await console.invite(team.tenant_id, team.owner, email)
    path, body = f"/invitations/{invitation_id}/accept", {"token": token}
    for other in (team.owner, team.viewer, await console.add_user()):
        refused = await console.client.post(path, json=body, headers=console.as_(other))
        assert (refused.status_code, problem_of(refused)["code"]) == (403, "not_your_invitation")
    accepted = await console.client.post(path, json=body, headers=console.as_(invited))
    assert accepted.json() == {
        "success": True,
        "message": "Invitation accepted",
        "tenant_id": team.tenant_id,
        "role": "member",
    }


async def test_somebody_else_cannot_decline_an_invitation(console: Console, team: Team) -> None:
    """They may look at it. It stays for the invited person, who declines it for good."""
    email = console.new_email()
    invited = await console.add_user(email)
    invitation_id, token = await console.invite(team.tenant_id, team.owner, email)
    path, body = f"/invitations/{invitation_id}", {"token": token}

    async def post(use: str, user_id: str) -> httpx.Response:
        return await console.client.post(f"{path}/{use}", json=body, headers=console.as_(user_id))

    async def received() -> list[str]:
        listed = await console.client.get("/received-invitations", headers=console.as_(invited))
        assert token not in listed.text
        return [item["id"] for item in listed.json()["invitations"]]

    for other in (team.owner, team.viewer, await console.add_user()):
        assert (await post("preview", other)).json()["role"] == "member"
        refused = await post("decline", other)
        assert (refused.status_code, problem_of(refused)["code"]) == (403, "not_your_invitation")
    assert await received() == [invitation_id]
    for _ in range(2):
        declined = await post("decline", invited)
        assert declined.json() == {"message": "Invitation declined", "invitation_id": invitation_id}
    assert (await received(), (await post("preview", invited)).status_code) == ([], 404)
    assert (await post("accept", invited)).status_code == 404
    owner = console.as_(team.owner, team.tenant_id)
    assert (await console.client.post(f"{path}/resend", headers=owner)).status_code == 409
    listed = (await console.client.get("/invitations?status=declined", headers=owner)).json()
    assert [item["id"] for item in listed["invitations"]] == [invitation_id]


async def test_another_invitations_token_is_refused(console: Console, team: Team) -> None:
    one, one_token = await console.invite(team.tenant_id, team.owner)
    other, _ = await console.invite(team.tenant_id, team.owner)
    body = {"token": one_token}
    assert (await console.client.post(f"/invitations/{other}/accept", json=body)).status_code == 404
    assert (await console.client.post(f"/invitations/{one}/accept", json=body)).status_code == 200


@pytest.mark.parametrize("use", ["accept", "preview", "decline"])
async def test_every_wrong_token_is_answered_alike(console: Console, team: Team, use: str) -> None:
    email = console.new_email()
    headers = console.as_(await console.add_user(email))
    invitation_id, token = await console.invite(team.tenant_id, team.owner, email)
    tenant_id, _, secret = token.partition(".")
    other_tenant, _ = await console.tenant()
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

    async def post(given: str | None, id_: str = invitation_id) -> httpx.Response:
        path = f"/invitations/{id_}/{use}"
        return await console.client.post(path, json={"token": given}, headers=headers)

    answers = [await post(each) for each in wrong]
    never = await post(token, "inv_never")
    assert never.status_code == 404
    assert all(without_identity(answer) == without_identity(never) for answer in answers)
    null = await post(None)
    assert (null.status_code, problem_of(null)["errors"][0]["pointer"]) == (400, "/token")
    assert (await post(token)).status_code == 200


async def test_an_address_known_elsewhere_is_invited_like_any(console: Console, headers: Headers) -> None:
    known, pending = console.new_email(), console.new_email()
    await console.add_user(known)
    await console.invite(*await console.tenant(), pending)
    answers = [
        await console.client.post("/users/invite", json={"email": email}, headers=headers)
        for email in (known, pending, console.new_email())
    ]
    shapes = [
        (answer.status_code, set(answer.headers), set(answer.json()), answer.json()["status"])
        for answer in answers
    ]
    assert shapes[0][0] == 201
    assert shapes[0] == shapes[1] == shapes[2]


async def test_accepting_does_not_tell_who_has_an_account(console: Console, team: Team) -> None:
    """Status, headers and body are the same with and without an account, for a wrong and the right token."""
    known = console.new_email()
    await console.add_user(known)
    answers: list[list[object]] = []
    for email in (known, console.new_email()):
        invitation_id, token = await console.invite(team.tenant_id, team.owner, email)
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


async def test_forged_hosts_leave_links_unchanged(fresh_database_url: str, tmp_path: Path) -> None:
    mailbox = DevelopmentMailbox(tmp_path / "mailbox")
    async with serving(fresh_database_url, tmp_path, public_url="https://app.example.com/join") as console:
        tenant_id, owner = await console.tenant()
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
            "/users/invite",
            json={"email": console.new_email()},
            headers=console.as_(owner, tenant_id) | forged,
        )

        async def is_mailed() -> bool:
            return bool(mailbox.read())

        async with console.served.lifespan():
            await until(is_mailed)
    [mail] = mailbox.read()
    assert mail.link.startswith(f"https://app.example.com/join/invitations/{answer.json()['id']}#token=")
    assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example/x", "[", "[::1", "a@b", "", "é", "x?y", "x#y", "evil.example:99999"],
)
async def test_a_forged_host_leaves_links_to_pages_unchanged(
    console: Console, headers: Headers, host: str
) -> None:
    forged = raw(headers, "Host", host.encode())
    answer = await console.client.get("/users", params={"limit": "1"}, headers=forged)
    assert answer.headers["link"].startswith("</accounts/users?limit=1&cursor=")
    missing = await console.client.get("/nothing", headers=forged)
    assert problem_of(missing)["instance"] == "/accounts/nothing"
