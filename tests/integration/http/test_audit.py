"""The audit trail and the feed of events over HTTP."""

from typing import Any

import pytest
from support.console import Console, Headers, problem_of
from support.world import Team

from hoc.events.relay import Relay


@pytest.fixture
async def team(console: Console) -> Team:
    return await console.invited_team()


async def audit(console: Console, team: Team, **query: str) -> list[dict[str, Any]]:
    """Walk the whole trail by Link, two at a time, as an admin."""
    headers = console.as_(team.admin, team.tenant_id)
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


async def test_an_admin_sees_at_once_who_did_what(console: Console, team: Team, headers: Headers) -> None:
    changed = await console.client.put(f"/users/{team.viewer}/role", json={"role": "member"}, headers=headers)
    assert changed.status_code == 200
    newest, *_ = await audit(console, team)
    assert (newest["type"], newest["actor"]) == ("member.role_changed", team.owner)
    assert newest["user_id"] == team.viewer
    assert newest["data"]["previous_role"] == "viewer"


async def test_a_walk_yields_each_event_once_numbered_or_not(console: Console, team: Team) -> None:
    before = await audit(console, team)
    assert {event["sequence"] for event in before} == {None}
    await sequence_events(console)
    after = await audit(console, team)
    assert [event["event_id"] for event in after] == [event["event_id"] for event in before]
    assert len({event["event_id"] for event in before}) == len(before) > 10
    assert None not in {event["sequence"] for event in after}


async def test_filters_narrow_the_audit_trail(console: Console, team: Team) -> None:
    joined = await audit(console, team, type="member.joined")
    assert {event["type"] for event in joined} == {"member.joined"}
    assert len(joined) == 5
    [own] = await audit(console, team, type="member.joined", actor=team.viewer)
    assert own["user_id"] == team.viewer
    until = await audit(console, team, until=joined[1]["time"])
    since = await audit(console, team, since=joined[1]["time"])
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
    ],
)
async def test_a_bad_query_is_refused(console: Console, headers: Headers, query: dict[str, str]) -> None:
    answer = await console.client.get("/audit", params=query, headers=headers)
    assert answer.status_code == 400
    assert problem_of(answer)["errors"][0]["pointer"] == f"?{next(iter(query))}"


async def sequence_events(console: Console) -> None:
    relay = Relay(console.database, None, source="urn:test")
    while await relay.sequence_events():
        pass


async def test_the_feed_goes_on_where_its_reader_stopped(console: Console, team: Team) -> None:
    headers = console.scoped("accounts:admin")
    await sequence_events(console)
    seen: list[dict[str, Any]] = []
    after = 0
    while page := (await feed(console, headers, after))["events"]:
        seen += page
        after = page[-1]["sequence"]
    assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    mine = [event for event in seen if event["tenant_id"] == team.tenant_id]
    assert [event["event_id"] for event in mine] == [
        event["event_id"] for event in reversed(await audit(console, team))
    ]
    assert (await feed(console, headers, after))["next_after"] == after
    first = await feed(console, headers, 0, limit="1")
    assert (first["events"], first["next_after"]) == (seen[:1], 1)
    await console.add_user()
    await sequence_events(console)
    [new] = (await feed(console, headers, after))["events"]
    assert (new["sequence"], new["type"]) == (after + 1, "user.created")


async def feed(console: Console, headers: Headers, after: int, **query: str) -> dict[str, Any]:
    answer = await console.identity.get("/events", params={"after": str(after), **query}, headers=headers)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page
