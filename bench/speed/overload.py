"""At a rate of the callers' own: just below the most there is, and far beyond it.

The most is measured by the same generator, which takes a part of the machine whatever it sends.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from filling import CROWD
from load import CONNECTIONS, Offered, Request, Requests, offer
from report import Report, at_least, at_most
from scene import Scene
from servers import Server, hoc

IDS = 20_000
BEYOND = 4
CALLERS = (512, 900)  # connections of an overload
MEGABYTE = 2**20
_SAMPLE_SECONDS = 0.1


def measure(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    token = scene.token(scene.owner(url), CROWD)
    kinds = {
        "profile": [
            Request("GET", f"/api/v1/accounts/profile/{row['user_id']}", scene.admin)
            for row in scene.sample(url, IDS)
        ],
        "users?limit=50": [Request("GET", "/accounts/users?limit=50", token)],
    }
    for name, of_kind in kinds.items():
        with hoc(url, scene.place) as server:
            _measure(scene, report, name, server, scene.requests(server.url, of_kind))


def _measure(scene: Scene, report: Report, name: str, server: Server, requests: Requests) -> None:
    rounds, seconds = scene.options.rounds, scene.options.seconds
    plenty = 2 * offer(requests, 0, seconds, connections=CONNECTIONS).good
    peak = median(offer(requests, plenty, seconds, connections=CONNECTIONS).good for _ in range(rounds))
    below = [offer(requests, 0.8 * peak, seconds, connections=CONNECTIONS) for _ in range(rounds)]
    report.add(
        f"{name}, 80 % of the most: p99 / p50",
        median(one.good_p99 / one.good_p50 for one in below),
        "x",
        goal=at_most(5),
        detail=f"most {peak:,.0f}/s, p50 {median(one.good_p50 for one in below) * 1_000:.2f} ms, "
        f"p99 {median(one.good_p99 for one in below) * 1_000:.2f} ms, "
        f"answered {median(one.good for one in below):,.0f}/s, failed {sum(one.failed for one in below)}",
    )
    for connections in CALLERS:
        before = server.resident_bytes()
        with _watching(server) as memory:
            beyond = offer(requests, BEYOND * peak, 3 * seconds, connections=connections)
        _judge(report, f"{name}, {BEYOND} x the most by {connections}", beyond, peak)
        report.add(
            f"{name}, {BEYOND} x the most by {connections}: memory at its highest / before",
            memory.highest / before,
            "x",
            goal=at_most(1.5),
            detail=f"before {before / MEGABYTE:.0f} MB, highest {memory.highest / MEGABYTE:.0f} MB,"
            f" after {server.resident_bytes() / MEGABYTE:.0f} MB",
        )


def _judge(report: Report, name: str, beyond: Offered, peak: float) -> None:
    report.add(
        f"{name}: good answers / the most",
        beyond.good / peak,
        "x",
        goal=at_least(0.9),
        detail=f"offered {beyond.offered:,.0f}/s, sent {beyond.sent:,.0f}/s, good {beyond.good:,.0f}/s,"
        f" refused {beyond.refused:,.0f}/s in {beyond.refused_p99 * 1_000:.0f} ms (p99)",
    )
    report.add(
        f"{name}: neither answered nor refused with Retry-After, of those sent",
        beyond.failed,
        "",
        goal=at_most(0),
    )


@dataclass(slots=True)
class Memory:
    highest: int = 0


@contextmanager
def _watching(server: Server) -> Generator[Memory]:
    memory, ended = Memory(), threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            memory.highest = max(memory.highest, server.resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()
