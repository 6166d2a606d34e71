"""hoc through PgBouncer, with and without prepared statements, beside hoc on PostgreSQL itself."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from load import Request, Side, contest, middle, ratio, wrk
from report import Report, at_least
from scene import Scene
from servers import Server, hoc
from tenancy import PREFERRED, RENAMED

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.pgbouncer import at, keeps_statements, pgbouncer

IDS: Final = 20_000
DIRECT: Final = "direct"
UNPREPARED: Final = "PgBouncer"
PREPARED: Final = "PgBouncer, prepared"
POOL: Final = {"server_round_robin": "0", "default_pool_size": "20"}


def measure(scene: Scene, report: Report) -> None:
    """Read accounts, statement by statement, and rename people, in transactions."""
    with scene.copies("pooled") as [url], ExitStack() as stack:
        servers = {DIRECT: stack.enter_context(hoc(url, scene.place, lifespan="off"))}
        kept = {UNPREPARED: "0"} | ({PREPARED: "200"} if keeps_statements() else {})
        for name, statements in kept.items():
            address = stack.enter_context(pgbouncer(url, max_prepared_statements=statements, **POOL))
            pooled = hoc(at(address, url), scene.place, lifespan="off", pooler="transaction")
            servers[name] = stack.enter_context(pooled)
        people = [row["user_id"] for row in scene.sample(url, IDS)]
        kinds = {
            "profile": [
                Request("GET", f"/api/v1/accounts/profile/{user_id}", scene.admin) for user_id in people
            ],
            "PUT preferences": [
                Request("PUT", f"/api/v1/accounts/preferences/{user_id}", scene.admin, PREFERRED)
                for user_id in people
            ],
            "PUT profile": [
                Request("PUT", "/accounts/profile", scene.token(user_id), RENAMED) for user_id in people
            ],
        }
        for name, requests in kinds.items():
            _compare(scene, report, name, servers, requests)


def _compare(
    scene: Scene, report: Report, name: str, servers: Mapping[str, Server], of_kind: list[Request]
) -> None:
    asked = {side: scene.requests(server.url, of_kind) for side, server in servers.items()}
    for requests in asked.values():
        requests.answer()
    measured = contest(
        [Side(side, partial(wrk, requests)) for side, requests in asked.items()],
        rounds=scene.options.rounds,
        seconds=scene.options.seconds,
    )
    rates = ", ".join(f"{side} {middle(found).rate:,.0f}/s" for side, found in measured.items())
    for side in measured:
        if side != DIRECT:
            gained = ratio(measured, side, DIRECT)
            report.add(f"{name}: {side} / {DIRECT}", gained, "x", goal=at_least(0.8), detail=rates)
