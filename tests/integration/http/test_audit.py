"""The audit trail and the feed of events over HTTP."""

from typing import Any

import pytest
from support.console import Console, Tenant, problem_of

from hoc.events.relay import Relay


async def audit(console: Console, tenant: Tenant, **query: str) -> list[dict[str, Any]]:
    """Walk the whole trail by Link, two at a time, as an admin."""
    headers = console.as_(tenant.admin, tenant.tenant_id)
    found: list[dict[str, Any]] = []
    answer = await console.client.get("/audit", params={"limit": "2", **query}, headers=headers)
    while True:
        page = answer.json()
        assert answer.status_code == 200, page
        found += page["events"]
        assert ("link" in answer.headers) == (page["next_cursor"] is not None)
        if "link" not in answer.headers:
            return found
        following = answer.links["next"]["url"].removeprefix("/accounts")
        answer = await console.client.get(following, headers=headers)


async def test_an_admin_sees_what_was_done_and_by_whom_at_once(console: Console, tenant: Tenant) -> None:
    owner = console.as_(tenant.owner, tenant.tenant_id)
    changed = await console.client.put(f"/users/{tenant.viewer}/role", json={"role": "member"}, headers=owner)
    assert changed.status_code == 200
    newest, *_ = await audit(console, tenant)
    assert (newest["type"], newest["actor"]) == ("member.role_changed", tenant.owner)
    assert newest["user_id"] == tenant.viewer
    assert newest["data"]["previous_role"] == "viewer"


async def test_a_walk_yields_every_event_once_before_and_after_it_is_in_line(
    console: Console, tenant: Tenant
) -> None:
    before = await audit(console, tenant)
    assert {event["sequence"] for event in before} == {None}
    await line_up(console)
    after = await audit(console, tenant)
    assert [event["event_id"] for event in after] == [event["event_id"] for event in before]
    assert len({event["event_id"] for event in before}) == len(before) > 10
    assert None not in {event["sequence"] for event in after}


async def test_filters_narrow_it(console: Console, tenant: Tenant) -> None:
    joined = await audit(console, tenant, type="member.joined")
    assert {event["type"] for event in joined} == {"member.joined"}
    assert len(joined) == 5
    [own] = await audit(console, tenant, type="member.joined", actor=tenant.viewer)
    assert own["user_id"] == tenant.viewer
    until = await audit(console, tenant, until=joined[1]["time"])
    since = await audit(console, tenant, since=joined[1]["time"])
    assert joined[0] in since
    assert joined[0] not in until
    assert joined[-1] in until
    assert joined[-1] not in since


@pytest.mark.parametrize(
    "query",
    [
        {"type": "member.exploded"},
        {"since": "yesterday"},
        {"since": "2026-03-14T10:00:00"},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"cursor": "made-up"},
        {"actor": "\x00"},
        {"limit": "101"},
    ],
)
async def test_bad_queries_are_refused(console: Console, tenant: Tenant, query: dict[str, str]) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    answer = await console.client.get("/audit", params=query, headers=headers)
    assert answer.status_code == 400
    assert problem_of(answer)["errors"][0]["pointer"] == f"?{next(iter(query))}"


async def line_up(console: Console) -> None:
    relay = Relay(console.database, None, source="urn:test")
    while await relay.line_up():
        pass


async def test_the_feed_goes_on_where_it_was_left(console: Console, tenant: Tenant) -> None:
    headers = console.scoped("accounts:admin")
    await line_up(console)
    seen: list[dict[str, Any]] = []
    after = 0
    while page := (await feed(console, headers, after))["events"]:
        seen += page
        after = page[-1]["sequence"]
    assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    mine = [event for event in seen if event["tenant_id"] == tenant.tenant_id]
    assert [event["event_id"] for event in mine] == [
        event["event_id"] for event in reversed(await audit(console, tenant))
    ]
    assert (await feed(console, headers, after))["next_after"] == after
    await console.add_user()
    await line_up(console)
    [new] = (await feed(console, headers, after))["events"]
    assert (new["sequence"], new["type"]) == (after + 1, "user.created")


async def feed(console: Console, headers: dict[str, str], after: int) -> dict[str, Any]:
    answer = await console.identity.get("/events", params={"after": str(after)}, headers=headers)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


@pytest.mark.parametrize("query", [{"after": "-1"}, {"after": "١٢"}, {"after": str(2**63)}, {"limit": "0"}])
async def test_the_feed_refuses_what_is_no_place_in_it(console: Console, query: dict[str, str]) -> None:
    answer = await console.identity.get("/events", params=query, headers=console.scoped("accounts:admin"))
    assert answer.status_code == 400
    assert problem_of(answer)["errors"][0]["pointer"] == f"?{next(iter(query))}"
