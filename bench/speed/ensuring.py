"""Ensuring an account that exists, and a new one, with its event."""

from contextlib import ExitStack
from functools import partial
from statistics import median

from load import NUMBER, Request, Side, contest, middle, pgbench, ratio, wrk
from report import Report, at_least
from scene import Scene
from servers import bare, hoc, peer
from statements import Statement

from hoc.cus.account.L6_drivers.account_inserts import ENSURE

EXISTING = 20_000
PATH = "/accounts/ensure"
NEW = {"user_id": f"usr_{NUMBER}", "email": f"person{NUMBER}@example.com", "name": f"Person {NUMBER}"}
PGBENCH = """\\set number random(1, 1000000000000000)
\\set shard random(0, 15)
"""


def measure(scene: Scene, report: Report) -> None:
    _existing(scene, report)
    _new(scene, report)


def _existing(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    bodies = [dict(row) for row in scene.sample(url, EXISTING)]
    theirs = [Request("POST", PATH, None, body) for body in bodies]
    bare_ones = [Request("POST", "/ensure-existing", None, body) for body in bodies]
    with ExitStack() as stack:
        places = {
            "hoc": (
                stack.enter_context(hoc(url, scene.place)).url,
                [Request("POST", f"/api/v1{PATH}", scene.admin, body) for body in bodies],
            ),
            "bare": (stack.enter_context(bare(url, scene.place)).url, bare_ones),
            "bare, pool resets": (stack.enter_context(bare(url, scene.place, resets=True)).url, bare_ones),
            "FastAPI and ORM": (stack.enter_context(peer("orm", url, scene.place)).url, theirs),
            "seed's statements": (stack.enter_context(peer("seed", url, scene.place)).url, theirs),
        }
        asked = {name: scene.requests(*place) for name, place in places.items()}
        for requests in asked.values():
            requests.answer()
        measured = contest(
            [Side(name, partial(wrk, requests)) for name, requests in asked.items()],
            rounds=scene.options.rounds,
            seconds=scene.options.seconds,
        )
    rates = ", ".join(f"{name} {middle(found).rate:,.0f}/s" for name, found in measured.items())
    name = "ensure existing: hoc / "
    report.add(f"{name}bare", ratio(measured, "hoc", "bare"), "x", goal=at_least(1.0), detail=rates)
    report.add(
        f"{name}bare, whose pool resets connections",
        ratio(measured, "hoc", "bare, pool resets"),
        "x",
        goal=at_least(1.0),
    )
    for peer_name in ("FastAPI and ORM", "seed's statements"):
        report.add(f"{name}{peer_name}", ratio(measured, "hoc", peer_name), "x")


def _new(scene: Scene, report: Report) -> None:
    names = ("ensure_hoc", "ensure_bare", "ensure_pgbench", "ensure_orm", "ensure_seed")
    with scene.copies(*names) as (ours, bares, pgbenchs, orms, seeds), ExitStack() as stack:
        script = scene.place / "ensure.pgbench"
        script.write_text(PGBENCH + _for_pgbench())
        places = {
            "hoc": (stack.enter_context(hoc(ours, scene.place)).url, f"/api/v1{PATH}", scene.admin),
            "bare": (stack.enter_context(bare(bares, scene.place)).url, "/ensure", None),
            "FastAPI and ORM": (stack.enter_context(peer("orm", orms, scene.place)).url, PATH, None),
            "seed's statements": (stack.enter_context(peer("seed", seeds, scene.place)).url, PATH, None),
        }
        sides = []
        for name, (url, path, token) in places.items():
            requests = scene.requests(url, [Request("POST", path, token, NEW)])
            requests.answer()
            settle = partial(scene.settle, ours) if name == "hoc" else (lambda: None)
            sides.append(Side(name, partial(wrk, requests), settle))
        sides.append(Side("pgbench", partial(pgbench, pgbenchs, script)))
        measured = contest(sides, rounds=scene.options.rounds, seconds=scene.options.seconds)
    rates = ", ".join(f"{name} {middle(found).rate:,.0f}/s" for name, found in measured.items())
    name = "ensure new: hoc / "
    bars = [
        one.rate / min(0.9 * raw.rate, 0.5 * most.rate)
        for one, raw, most in zip(measured["hoc"], measured["bare"], measured["pgbench"], strict=True)
    ]
    report.add(
        f"{name}the lower of 0.9 x bare, 0.5 x pgbench",
        median(bars),
        "x",
        goal=at_least(1.1),
        detail=rates,
    )
    for other in ("bare", "pgbench", "FastAPI and ORM", "seed's statements"):
        report.add(f"{name}{other}", ratio(measured, "hoc", other), "x")


def _for_pgbench() -> str:
    return Statement.of(ENSURE).for_pgbench(
        user_id="'usr_' || :number",
        email="'person' || :number || '@example.com'",
        email_key="'person' || :number || '@example.com'",
        name="'Person ' || :number",
        name_key="'person ' || :number",
        email_verified="false",
        has_generated_id="false",
        now="clock_timestamp()",
        actor="'bench'",
        shard=":shard",
    )
