"""The time of each read, and the storage of an account, from ten thousand accounts upwards."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

import httpx
from filling import COMMON, CROWD, RARE, SELDOM
from load import Request, Requests, Side, contest, middle, wrk
from report import Report, at_most
from scene import Scene
from servers import hoc

from hoc.cus.account.L5_engines.paging import CursorScope
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey

SMALLEST = 10_000
IDS = 50_000
UNJUDGED = "search, one in a thousand"  # with ten million accounts, the most matches that are all counted
CAPPED = "search, common term"  # of the smallest size, too, it has more matches than are counted
_SIZES = """
    SELECT c.relname AS name, pg_table_size(c.oid) AS bytes FROM pg_class c
    WHERE c.oid = 'account.users'::regclass
       OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'account.users'::regclass)
    ORDER BY c.relkind DESC, c.relname"""
_COUNT = """
    SELECT count(*) AS total_accounts, count(*) FILTER (WHERE is_active) AS active_accounts,
           count(*) FILTER (WHERE created_at >= now() - interval '7 days') AS recent_registrations_7d,
           count(*) FILTER (WHERE created_at >= now() - interval '30 days') AS recent_registrations_30d
    FROM account.users"""
_WARM = "SELECT count(preferences) FROM account.users WHERE user_id = ANY($1)"
_WARM_ADDRESSES = "SELECT count(preferences) FROM account.users WHERE email_key = ANY($1) AND is_active"
_AT = """
    SELECT created_at, user_id FROM account.users WHERE is_active
    ORDER BY created_at DESC, user_id DESC OFFSET $1 LIMIT 1"""


def measure(scene: Scene, report: Report) -> None:
    sizes = _sizes(scene.options.accounts)
    with ExitStack() as stack:
        asked: dict[str, dict[int, Requests]] = {}
        for accounts in sizes:
            url = scene.accounts(accounts)
            server = stack.enter_context(hoc(url, scene.place))
            _check_statistics(scene, url, server.url)
            _storage(scene, report, url, accounts)
            for name, of_kind in _reads(scene, url).items():
                asked.setdefault(name, {})[accounts] = scene.requests(server.url, of_kind)
        _check_cap(asked[CAPPED])
        for name, by_size in asked.items():
            _flat(scene, report, name, by_size)


def _sizes(accounts: int) -> list[int]:
    """Return the smallest size, its tenfold and so on, up to that many."""
    sizes = [SMALLEST]
    while sizes[-1] * 10 < accounts:
        sizes.append(sizes[-1] * 10)
    return [*sizes, accounts] if accounts > sizes[-1] else sizes


def _flat(scene: Scene, report: Report, name: str, by_size: dict[int, Requests]) -> None:
    for requests in by_size.values():
        requests.answer()
    measured = contest(
        [Side(str(size), partial(wrk, requests, connections=1)) for size, requests in by_size.items()],
        rounds=scene.options.rounds,
        seconds=scene.options.seconds / 3,
    )
    points = [(int(size), middle(found).p50 * 1_000) for size, found in measured.items()]
    report.plot(name, points)
    smallest = points[0]
    report.add(
        f"{name}: p50 of {points[-1][0]:,} / of {smallest[0]:,}",
        points[-1][1] / smallest[1],
        "x",
        goal=None if name == UNJUDGED or points[-1] == smallest else at_most(1.5),
        detail=", ".join(f"{value:.2f}" for _, value in points) + " ms",
    )


def _reads(scene: Scene, url: str) -> dict[str, list[Request]]:
    people = scene.sample(url, IDS)
    # Read the rows into memory, where a service that has run for a while has them.
    scene.fetch(url, _WARM, [row["user_id"] for row in people])
    scene.fetch(url, _WARM_ADDRESSES, [row["email"] for row in people])
    token = scene.token(scene.owner(url), CROWD)
    [last] = scene.fetch(url, "SELECT max(sequence) AS sequence FROM account.events")
    member = [
        row["user_id"]
        for row in scene.fetch(url, "SELECT user_id FROM account.memberships WHERE tenant_id = $1", CROWD)
    ]

    def identity(*paths: str) -> list[Request]:
        return [Request("GET", f"/api/v1{path}", scene.admin) for path in paths]

    def console(*paths: str) -> list[Request]:
        return [Request("GET", f"/accounts{path}", token) for path in paths]

    def search(term: str) -> list[Request]:
        return identity(f"/accounts?search={term}")

    return {
        "profile": identity(*(f"/accounts/profile/{row['user_id']}" for row in people)),
        "by e-mail": identity(*(f"/accounts/by-email/{row['email']}" for row in people)),
        "list, first page": identity("/accounts"),
        "list, in the middle": identity(f"/accounts?cursor={_cursor(scene, url, 0.5)}"),
        "list, deepest": identity(f"/accounts?cursor={_cursor(scene, url, 0.99)}"),
        "list, inactive": identity("/accounts?is_active=false"),
        "search, rare term": search(RARE),
        "search, an address": [one for row in people[:1_000] for one in search(row["email"])],
        CAPPED: search(COMMON),
        UNJUDGED: search(SELDOM),
        "statistics": identity("/accounts/stats"),
        "members": console("/users?limit=50"),
        "a member": console(*(f"/users/{user_id}" for user_id in member)),
        "own profile": console("/profile"),
        "audit trail": console("/audit?limit=50"),
        "events, from the first": identity("/events?limit=50"),
        "events, in the middle": identity(f"/events?limit=50&after={last['sequence'] // 2}"),
        "events, the last": identity(f"/events?limit=50&after={last['sequence'] - 50}"),
    }


def _cursor(scene: Scene, url: str, depth: float) -> str:
    """Return a cursor of the list of active accounts, after that part of them."""
    [found] = scene.fetch(url, "SELECT sum(active)::bigint AS active FROM account.account_totals")
    [row] = scene.fetch(url, _AT, int(depth * found["active"]))
    key = SortKey(row["created_at"], row["user_id"])
    scope = CursorScope("accounts", str(True), search=None)
    return str(scope.next_cursor(Slice([], 0, last_key=key, has_more=True)))


def _check_statistics(scene: Scene, url: str, server: str) -> None:
    """Raise RuntimeError unless hoc's statistics are what counting gives."""
    headers = {"Authorization": f"Bearer {scene.admin}"}
    statistics = httpx.get(f"{server}/api/v1/accounts/stats", headers=headers, timeout=60).json()
    [counted] = scene.fetch(url, _COUNT)
    if {name: statistics[name] for name in counted} != counted:
        raise RuntimeError(f"The statistics are {statistics}, but counting gives {counted}.")


def _check_cap(by_size: Mapping[int, Requests]) -> None:
    """Raise RuntimeError unless the total of a common term is marked as capped."""
    for accounts, requests in by_size.items():
        if not requests.answer().json()["total_capped"]:
            raise RuntimeError(f"With {accounts} accounts, total_capped of a search for {COMMON} is wrong.")


def _storage(scene: Scene, report: Report, url: str, accounts: int) -> None:
    sizes = {row["name"]: row["bytes"] / accounts for row in scene.fetch(url, _SIZES)}
    detail = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    report.add(f"storage of {accounts:,}, of each", sum(sizes.values()), "bytes", detail=detail)
