"""At a rate of the callers' own: just below the most there is, and far beyond it.

The most is measured by the same generator, which takes a part of the machine whatever it sends.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

from filling import CROWD
from load import CONNECTIONS, Offered, Request, Requests, Side, contest, offer, ratio, wrk
from report import Report, at_least, at_most
from scene import Scene
from servers import Server, bare, hoc

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
    _crowd(scene, report, url, kinds["profile"])


def _measure(scene: Scene, report: Report, name: str, server: Server, requests: Requests) -> None:
    rounds, seconds = scene.options.rounds, scene.options.seconds
    plenty = 2 * offer(requests, 0, seconds, connections=CONNECTIONS).good

    def most() -> float:
        return offer(requests, plenty, seconds, connections=CONNECTIONS).good

    below = [offer(requests, 0.8 * most(), seconds, connections=CONNECTIONS) for _ in range(rounds)]
    report.add(
        f"{name}, 80 % of the most: p99 / p50",
        median(one.good_p99 / one.good_p50 for one in below),
        "x",
        goal=at_most(5),
        detail=f"p50 {median(one.good_p50 for one in below) * 1_000:.2f} ms, "
        f"p99 {median(one.good_p99 for one in below) * 1_000:.2f} ms, "
        f"answered {median(one.good for one in below):,.0f}/s, failed {sum(one.failed for one in below)}",
    )
    for connections in CALLERS:
        before = server.resident_bytes()
        peaks: list[float] = []
        beyond: list[Offered] = []
        with _watching(server) as memory:
            for _ in range(rounds):
                peaks.append(most())
                beyond.append(offer(requests, BEYOND * peaks[-1], 2 * seconds, connections=connections))
        _judge(report, f"{name}, {BEYOND} x the most by {connections}", beyond, peaks)
        report.add(
            f"{name}, {BEYOND} x the most by {connections}: memory at its highest / before",
            memory.highest / before,
            "x",
            goal=at_most(1.5),
            detail=f"before {before / MEGABYTE:.0f} MB, highest {memory.highest / MEGABYTE:.0f} MB,"
            f" after {server.resident_bytes() / MEGABYTE:.0f} MB",
        )


def _crowd(scene: Scene, report: Report, url: str, of_kind: Sequence[Request]) -> None:
    """What many connections by themselves cost, hoc and the bare route."""
    paths = [Request("GET", one.path.removeprefix("/api/v1").replace("/profile", "")) for one in of_kind]
    with hoc(url, scene.place) as server, bare(url, scene.place) as raw:
        asked = {"hoc": scene.requests(server.url, of_kind), "bare": scene.requests(raw.url, paths)}
        measured = contest(
            [
                Side(f"{side} by {connections}", partial(wrk, requests, connections=connections))
                for side, requests in asked.items()
                for connections in (CONNECTIONS, *CALLERS)
            ],
            rounds=scene.options.rounds,
            seconds=scene.options.seconds,
        )
    for side in asked:
        for connections in CALLERS:
            report.add(
                f"profile, {side}: answers to {connections} connections / to {CONNECTIONS}",
                ratio(measured, f"{side} by {connections}", f"{side} by {CONNECTIONS}"),
                "x",
            )


def _judge(report: Report, name: str, beyond: Sequence[Offered], peaks: Sequence[float]) -> None:
    report.add(
        f"{name}: good answers / the most",
        median(one.good / peak for one, peak in zip(beyond, peaks, strict=True)),
        "x",
        goal=at_least(0.9),
        detail=f"most {median(peaks):,.0f}/s, offered {median(one.offered for one in beyond):,.0f}/s,"
        f" sent {median(one.sent for one in beyond):,.0f}/s,"
        f" good {median(one.good for one in beyond):,.0f}/s,"
        f" refused {median(one.refused for one in beyond):,.0f}/s"
        f" in {max(one.refused_p99 for one in beyond) * 1_000:.0f} ms (p99)",
    )
    report.add(
        f"{name}: neither answered nor refused with Retry-After, of those sent",
        sum(one.failed for one in beyond),
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
