"""The console: the members of a large tenant, invitations, profile and preferences."""

from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx
from filling import CROWD, HOSTS
from load import NUMBER, Request, Side, contest, middle, ratio, wrk
from report import Report, at_least, at_most
from scene import Scene
from servers import bare, hoc

LIMIT = 50
CALLERS = 2_000
INVITED = {"email": f"guest{NUMBER}@example.com"}
RENAMED = {"display_name": f"Person {NUMBER}"}
PREFERRED = {"theme": NUMBER, "language": "en"}


def measure(scene: Scene, report: Report) -> None:
    _members(scene, report)
    # Without background work, because sending ten thousand invitation mails would take minutes.
    with scene.copies("console_hoc", "console_bare") as (ours, bares), ExitStack() as stack:
        server = stack.enter_context(hoc(ours, scene.place, lifespan="off"))
        raw = stack.enter_context(bare(bares, scene.place))
        hosts = _owners(scene, ours)
        people = [row["user_id"] for row in scene.sample(ours, CALLERS)]
        tokens = {user_id: scene.token(user_id) for user_id in people}
        pairs = {
            "invite": (
                [
                    Request("POST", "/accounts/users/invite", scene.token(user_id, tenant_id), INVITED)
                    for tenant_id, user_id in hosts
                ],
                [
                    Request("POST", f"/tenants/{tenant_id}/invite/{user_id}", None, INVITED)
                    for tenant_id, user_id in hosts
                ],
            ),
            "PUT profile": (
                [Request("PUT", "/accounts/profile", tokens[user_id], RENAMED) for user_id in people],
                [Request("PUT", f"/profile/{user_id}", None, RENAMED) for user_id in people],
            ),
            "PUT preferences": (
                [
                    Request("PUT", f"/api/v1/accounts/preferences/{user_id}", scene.admin, PREFERRED)
                    for user_id in people
                ],
                [Request("PUT", f"/preferences/{user_id}", None, PREFERRED) for user_id in people],
            ),
        }
        for name, (through_hoc, through_bare) in pairs.items():
            goal = 0.9 if name == "invite" else 0.8
            _compare(scene, report, name, (server.url, through_hoc), (raw.url, through_bare), goal=goal)


def _members(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    token = scene.token(scene.owner(url), CROWD)
    with hoc(url, scene.place) as server, bare(url, scene.place) as raw:
        first = f"/accounts/users?limit={LIMIT}"
        _compare(
            scene,
            report,
            f"users?limit={LIMIT}",
            (server.url, [Request("GET", first, token)]),
            (raw.url, [Request("GET", f"/tenants/{CROWD}/users")]),
        )
        cursors = _cursors(server.url, first, token)
        _compare(
            scene,
            report,
            f"users?limit={LIMIT}, another page each time",
            (server.url, [Request("GET", f"{first}&cursor={cursor}", token) for cursor in cursors]),
            (
                raw.url,
                [Request("GET", f"/tenants/{CROWD}/users?{after}") for after in _positions(scene, url)],
            ),
        )
        deepest = f"{first}&cursor={cursors[-1]}"
        pages = {
            name: scene.requests(server.url, [Request("GET", path, token)])
            for name, path in (("deepest", deepest), ("first", first))
        }
        measured = contest(
            [Side(name, partial(wrk, requests, connections=1)) for name, requests in pages.items()],
            rounds=scene.options.rounds,
            seconds=scene.options.seconds / 3,
        )
    times = {name: middle(found).p50 * 1_000 for name, found in measured.items()}
    report.add(
        f"users?limit={LIMIT}: p50 of the deepest page / of the first",
        times["deepest"] / times["first"],
        "x",
        goal=at_most(1.3),
        detail=", ".join(f"{name} {value:.2f} ms" for name, value in times.items()),
    )


def _compare(
    scene: Scene,
    report: Report,
    name: str,
    ours: tuple[str, list[Request]],
    bares: tuple[str, list[Request]],
    *,
    goal: float = 0.8,
) -> None:
    asked = {"hoc": scene.requests(*ours), "bare": scene.requests(*bares)}
    for requests in asked.values():
        requests.answer()
    measured = contest(
        [Side(side, partial(wrk, requests)) for side, requests in asked.items()],
        rounds=scene.options.rounds,
        seconds=scene.options.seconds,
    )
    rates = ", ".join(f"{side} {middle(found).rate:,.0f}/s" for side, found in measured.items())
    report.add(f"{name}: hoc / bare", ratio(measured, "hoc", "bare"), "x", goal=at_least(goal), detail=rates)


def _cursors(url: str, path: str, token: str) -> list[str]:
    """Return the cursors of all pages but the first."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        cursors: list[str] = []
        while True:
            page: dict[str, Any] = client.get(path + (f"&cursor={cursors[-1]}" if cursors else "")).json()
            if page["next_cursor"] is None:
                return cursors
            cursors.append(page["next_cursor"])


def _positions(scene: Scene, url: str) -> list[str]:
    """Return the same positions as query strings of the bare route."""
    query = """
        SELECT joined_at, user_id FROM account.memberships WHERE tenant_id = $1 AND is_active
        ORDER BY joined_at, user_id"""
    rows = scene.fetch(url, query, CROWD)[LIMIT - 1 : -1 : LIMIT]
    return [urlencode({**row, "joined_at": row["joined_at"].isoformat()}) for row in rows]


def _owners(scene: Scene, url: str) -> list[tuple[str, str]]:
    query = "SELECT tenant_id, user_id FROM account.memberships WHERE tenant_id LIKE 'host-%' LIMIT $1"
    return [(row["tenant_id"], row["user_id"]) for row in scene.fetch(url, query, HOSTS)]
