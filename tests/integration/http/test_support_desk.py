"""The support staff of the deployment, with the scope ``accounts:support``, in the tenants of others."""

from typing import Any

from support.console import Console, Headers
from support.world import Team


async def open_ticket(console: Console, team: Team) -> tuple[str, Headers]:
    """The path of a member's ticket in the support desk, and the member's headers."""
    member = console.as_(team.member, team.tenant_id)
    body = {"subject": "Help", "description": "It does not work"}
    opened = await console.client.post("/support/tickets", json=body, headers=member)
    return f"/tenants/{team.tenant_id}/tickets/{opened.json()['id']}", member


async def test_support_answers_in_any_tenant(console: Console, team: Team) -> None:
    path, member = await open_ticket(console, team)
    ticket_id, desk = path.rpartition("/")[2], console.as_("agent@desk", None, "accounts:support")

    async def act(what: str, **body: str) -> Any:
        answer = await console.identity.post(f"{path}/{what}", json=body, headers=desk)
        assert answer.is_success, answer.text
        return answer.json()

    listed = await console.identity.get(path.rpartition("/")[0], headers=desk)
    assert [ticket["user_id"] for ticket in listed.json()["tickets"]] == [team.member]
    reply = await act("replies", text="Which browser?")
    assert (reply["author_id"], reply["is_support"]) == ("agent@desk", True)
    thread = await console.client.get(f"/support/tickets/{ticket_id}/replies", headers=member)
    assert thread.json()["replies"] == [reply]
    resolved = await act("resolve", resolution="Use another one.")
    shown = await console.client.get(f"/support/tickets/{ticket_id}", headers=member)
    assert shown.json() == resolved
    assert resolved["resolution"] == "Use another one."
    refused = await console.client.post(
        f"/support/tickets/{ticket_id}/replies", json={"text": "No"}, headers=member
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_resolved")
    reopened = await console.client.post(f"/support/tickets/{ticket_id}/reopen", headers=member)
    assert (reopened.status_code, reopened.json()["status"]) == (200, "open")
    trail = await console.client.get("/audit", headers=console.as_(team.owner, team.tenant_id))
    assert [(event["type"], event["actor"]) for event in trail.json()["events"][:4]] == [
        ("ticket.reopened", team.member),
        ("ticket.resolved", "agent@desk"),
        ("ticket.replied", "agent@desk"),
        ("ticket.created", team.member),
    ]


async def test_a_reply_is_stored_once_for_a_key(console: Console, team: Team) -> None:
    path, _ = await open_ticket(console, team)
    desk = console.scoped("accounts:support") | {"Idempotency-Key": team.tenant_id}
    first, again = [
        await console.identity.post(f"{path}/replies", json={"text": "Soon."}, headers=desk) for _ in range(2)
    ]
    assert first.json() == again.json()
    listed = await console.identity.get(f"{path}/replies", headers=console.scoped("accounts:support"))
    assert listed.json()["total"] == 1


async def test_no_other_scope_and_no_membership_opens_the_desk(console: Console, team: Team) -> None:
    path, member = await open_ticket(console, team)
    owner = console.as_(team.owner, team.tenant_id)
    for headers in (member, owner, console.scoped("accounts:read", "accounts:write")):
        for answer in (
            await console.identity.get(path, headers=headers),
            await console.identity.post(f"{path}/replies", json={"text": "Soon."}, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_support_reads_no_accounts(console: Console, team: Team) -> None:
    desk = console.scoped("accounts:support")
    for path in ("/accounts", f"/accounts/profile/{team.member}", "/events"):
        assert (await console.identity.get(path, headers=desk)).status_code == 403
    of_tenant = console.as_("agent@desk", team.tenant_id, "accounts:support")
    assert (await console.client.get("/support/tickets", headers=of_tenant)).status_code == 403
