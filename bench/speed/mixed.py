"""All kinds of requests at once, 80 % reads and 20 % writes, so that no route is made fast at another's cost.

hoc runs them over all its routes, and beside its peers over the routes that they have too.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice
from statistics import median
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx
import psutil
from filling import CROWD, RARE
from load import CONNECTIONS, NUMBER, Measured, Request, Requests, Side, contest, middle, ratio, wrk
from report import Report
from scene import Scene
from servers import Running, Server, hoc, peer
from wire import counted

PEOPLE: Final = 500
ASKED: Final = 400  # requests of which the statements are counted
READ_OFTEN, READ, READ_SELDOM, WRITE, WRITE_SELDOM = 40, 10, 5, 20, 4
NEW: Final = {"user_id": f"usr_{NUMBER}", "email": f"person{NUMBER}@example.com", "name": f"Person {NUMBER}"}

Share: TypeAlias = tuple[int, Sequence[Request]]
Start: TypeAlias = Callable[[str], Running]


@dataclass(frozen=True, slots=True)
class Costs:
    """What the requests of one side cost, in seconds of processor time each."""

    server: float
    postgres: float


def measure(scene: Scene, report: Report) -> None:
    with scene.copies("mixed_hoc", "mixed_orm", "mixed_seed", "mixed_better") as (ours, orms, seeds, betters):
        with hoc(ours, scene.place) as server:
            _contest(scene, report, "all routes", {"hoc": (server, _everything(scene, ours))}, ours)
        _statements(
            report, "all routes: hoc", partial(hoc, place=scene.place), ours, _everything(scene, ours)
        )
        with ExitStack() as stack:
            places = {
                "hoc": (
                    stack.enter_context(hoc(ours, scene.place)),
                    _shared(scene, ours, "/api/v1", scene.admin),
                ),
                "FastAPI and ORM": (
                    stack.enter_context(peer("orm", orms, scene.place)),
                    _shared(scene, orms, "", None),
                ),
                "seed's statements": (
                    stack.enter_context(peer("seed", seeds, scene.place)),
                    _shared(scene, seeds, "", None),
                ),
            }
            _contest(scene, report, "accounts", places, ours)
        for name, start, url in (
            ("hoc", partial(hoc, place=scene.place), ours),
            ("FastAPI and ORM", partial(peer, "orm", place=scene.place), orms),
            ("seed's statements", partial(peer, "seed", place=scene.place), seeds),
        ):
            prefix, token = ("/api/v1", scene.admin) if name == "hoc" else ("", None)
            _statements(report, f"accounts: {name}", start, url, _shared(scene, url, prefix, token))
        _better_auth(scene, report, ours, betters)


def _everything(scene: Scene, url: str) -> list[Request]:
    """Requests to the routes of people and of services, each route by its share."""
    owner = scene.token(scene.owner(url), CROWD)
    people = scene.sample(url, PEOPLE)
    own = [scene.token(row["user_id"]) for row in people]
    console, identity = "/accounts", "/api/v1"
    members = scene.fetch(
        url, "SELECT user_id FROM account.memberships WHERE tenant_id = $1 LIMIT 500", CROWD
    )

    def gets(*paths: str, token: str = owner) -> list[Request]:
        return [Request("GET", path, token) for path in paths]

    shares: list[Share] = [
        (
            READ_OFTEN,
            gets(*(f"{identity}/accounts/profile/{row['user_id']}" for row in people), token=scene.admin),
        ),
        (READ_OFTEN, [Request("GET", f"{console}/memberships", token) for token in own]),
        (READ_OFTEN, gets(f"{console}/profile", f"{console}/projects", f"{console}/projects/{CROWD}")),
        (READ, gets(f"{console}/users?limit=50", f"{console}/users?limit=50&role=member")),
        (READ, gets(*(f"{console}/users/{row['user_id']}" for row in members))),
        (READ, gets(f"{console}/users?search={RARE}", f"{console}/tenant/users", f"{console}/invitations")),
        (READ, gets(f"{console}/billing", f"{console}/billing/invoices", f"{console}/support")),
        (READ, gets(f"{console}/support/tickets", f"{console}/audit", f"{console}/audit?type=member.joined")),
        (READ, [Request("GET", f"{console}/received-invitations", token) for token in own]),
        (READ, gets(*(f"{identity}/accounts/by-email/{row['email']}" for row in people), token=scene.admin)),
        (
            READ_SELDOM,
            gets(
                f"{identity}/accounts?page=1&page_size=50",
                f"{identity}/accounts/search?query={RARE}",
                f"{identity}/accounts/stats",
                f"{identity}/tenants",
                f"{identity}/tenants/{CROWD}",
                token=scene.admin,
            ),
        ),
        (WRITE, [Request("POST", f"{identity}/accounts/ensure", scene.admin, NEW)]),
        (
            WRITE_SELDOM,
            [Request("PUT", f"{console}/profile", token, {"display_name": f"P {NUMBER}"}) for token in own],
        ),
        (
            WRITE_SELDOM,
            [
                Request(
                    "PUT", f"{identity}/accounts/preferences/{row['user_id']}", scene.admin, {"theme": NUMBER}
                )
                for row in people
            ],
        ),
        (
            WRITE_SELDOM,
            [Request("POST", f"{identity}/accounts/ensure", scene.admin, dict(row)) for row in people],
        ),
        (
            WRITE_SELDOM,
            [
                Request("PUT", f"{console}/users/{row['user_id']}", owner, {"metadata": {"seen": NUMBER}})
                for row in members[1:]
            ],
        ),
        (
            WRITE_SELDOM,
            [Request("POST", f"{console}/support/tickets", owner, {"subject": "S", "description": "D"})],
        ),
        (
            WRITE_SELDOM,
            [Request("POST", f"{console}/projects", token, {"name": f"P {NUMBER}"}) for token in own],
        ),
    ]
    return _by_share(shares)


def _shared(scene: Scene, url: str, prefix: str, token: str | None) -> list[Request]:
    """Requests to the routes that the peers have too."""
    people = scene.sample(url, PEOPLE)
    place = f"{prefix}/accounts"

    def gets(*paths: str) -> list[Request]:
        return [Request("GET", f"{place}{path}", token) for path in paths]

    return _by_share(
        [
            (60, gets(*(f"/profile/{row['user_id']}" for row in people))),
            (10, gets(*(f"?page={page}&page_size=50" for page in range(1, 21)))),
            (6, gets(f"/search?query={RARE}")),
            (4, [Request("POST", f"{place}/ensure", token, dict(row)) for row in people]),
            (20, [Request("POST", f"{place}/ensure", token, NEW)]),
        ]
    )


def _by_share(shares: Sequence[Share]) -> list[Request]:
    """A list of which each kind of request is its share. wrk takes from it at random."""
    each = 10
    return list(chain.from_iterable(islice(cycle(of_kind), share * each) for share, of_kind in shares))


def _better_auth(scene: Scene, report: Report, ours: str, betters: str) -> None:
    owner = scene.token(scene.owner(ours), CROWD)
    with hoc(ours, scene.place, lifespan="off") as server, peer("betterauth", betters, scene.place) as rival:
        made = httpx.post(f"{rival.url}/bench/owner", timeout=60).raise_for_status().json()
        organization = made["organization"]
        invited = {"email": f"guest{NUMBER}@example.com", "role": "member"}
        theirs: dict[str, Any] = {
            "own session or profile": Request("GET", "/api/auth/get-session", made["token"]),
            "50 members": Request(
                "GET",
                f"/api/auth/organization/list-members?organizationId={organization}&limit=50",
                made["token"],
            ),
            "invite": Request(
                "POST",
                "/api/auth/organization/invite-member",
                made["token"],
                {**invited, "organizationId": organization},
            ),
        }
        hosts = scene.fetch(
            ours, "SELECT tenant_id, user_id FROM account.memberships WHERE tenant_id LIKE 'host-%'"
        )
        own: dict[str, list[Request]] = {
            "own session or profile": [Request("GET", "/accounts/profile", owner)],
            "50 members": [Request("GET", "/accounts/users?limit=50", owner)],
            "invite": [
                Request(
                    "POST", "/accounts/users/invite", scene.token(row["user_id"], row["tenant_id"]), invited
                )
                for row in hosts
            ],
        }
        for name, request in theirs.items():
            places = {"hoc": (server, own[name]), "better-auth-server": (rival, [request])}
            _contest(scene, report, name, places, ours)


def _contest(
    scene: Scene,
    report: Report,
    name: str,
    places: Mapping[str, tuple[Server, Sequence[Request]]],
    settled: str,
) -> None:
    costs: dict[str, list[Costs]] = {side: [] for side in places}
    postmaster = _postmaster(settled)
    sides = []
    for side, (server, of_kind) in places.items():
        asked = scene.requests(server.url, list(of_kind))
        settle = partial(scene.settle, settled) if side == "hoc" and name == "accounts" else (lambda: None)
        sides.append(Side(side, partial(_costing, asked, (server.process, postmaster), costs[side]), settle))
    measured = contest(sides, rounds=scene.options.rounds, seconds=scene.options.seconds)
    for side, found in measured.items():
        one, cost = middle(found), costs[side]
        report.add(
            f"{name}: {side}",
            one.rate,
            "/s",
            detail=f"p50 {one.p50 * 1e3:.1f} ms, p99 {one.p99 * 1e3:.1f} ms, processor "
            f"{median(each.server for each in cost) * 1e6:.0f} µs a request, of PostgreSQL "
            f"{median(each.postgres for each in cost) * 1e6:.0f} µs",
        )
        if side != "hoc":
            report.add(f"{name}: hoc / {side}", ratio(measured, "hoc", side), "x")


def _costing(
    asked: Requests,
    processes: tuple[psutil.Process, psutil.Process | None],
    costs: list[Costs],
    seconds: float,
) -> Measured:
    before = [_processor(process) for process in processes]
    found = wrk(asked, seconds, connections=CONNECTIONS)
    requests = max(1.0, found.rate * max(1, round(seconds)))
    used = [_processor(process) - earlier for process, earlier in zip(processes, before, strict=True)]
    costs.append(Costs(*(each / requests for each in used)))
    return found


def _processor(process: psutil.Process | None) -> float:
    """The processor time of a process and its children that live, in seconds."""
    if process is None:
        return 0.0
    used = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in used)


def _postmaster(url: str) -> psutil.Process | None:
    """The PostgreSQL of a URL. None if it is not on this machine, or names its port elsewhere."""
    port = f"port={urlsplit(url).port}"
    running = psutil.process_iter(["cmdline"])
    return next((process for process in running if port in (process.info["cmdline"] or ())), None)


def _statements(report: Report, name: str, start: Start, url: str, of_kind: Sequence[Request]) -> None:
    """Count the statements of requests that are sent one after the other. Idle servers send some too."""
    with counted(url) as counter, start(counter.url) as server, httpx.Client(base_url=server.url) as client:
        asked = random.Random(1).choices(of_kind, k=ASKED)
        before = 0
        for number, request in enumerate(asked[:1] + asked):
            if number == 1:
                before = counter.statements
            content = request.encoded().partition(b"\r\n\r\n")[2].replace(NUMBER.encode(), b"%016d" % number)
            answer = client.request(request.method, request.path, headers=request.headers(), content=content)
            answer.raise_for_status()
        report.add(f"{name}: statements a request", (counter.statements - before) / ASKED, "")
