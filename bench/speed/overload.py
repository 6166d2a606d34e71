"""Load at a given rate: just below the server's most, and far beyond it.

The most is measured by the same generator, which takes a part of the machine's time itself. It is measured
shortly before each measurement, because on a shared machine it changes by a third within seconds.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

from filling import CROWD
from load import CONNECTIONS, WARM_UP_SECONDS, Offered, Request, Requests, Side, contest, offer, ratio, wrk
from report import Report, at_least, at_most
from scene import Scene
from servers import Server, bare, hoc

IDS = 20_000
BELOW = 0.8
BEYOND = 4
SLICE_SECONDS = 0.5
CALLERS = (512, 900)  # connections under overload
MEGABYTE = 2**20
_SAMPLE_SECONDS = 0.1


def measure(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    token = scene.token(scene.owner(url), CROWD)
    profiles = [
        Request("GET", f"/api/v1/accounts/profile/{row['user_id']}", scene.admin)
        for row in scene.sample(url, IDS)
    ]
    kinds = {
        "profile": (profiles, _to_bare(profiles)),
        "users?limit=50": (
            [Request("GET", "/accounts/users?limit=50", token)],
            [Request("GET", f"/tenants/{CROWD}/users")],
        ),
    }
    for name, (of_kind, to_bare) in kinds.items():
        with hoc(url, scene.place) as server, bare(url, scene.place) as raw:
            requests = scene.requests(server.url, of_kind)
            _below(scene, report, name, requests, scene.requests(raw.url, to_bare))
            _beyond(scene, report, name, server, requests)
    _crowd(scene, report, url, profiles)


def _to_bare(profiles: Sequence[Request]) -> list[Request]:
    return [Request("GET", one.path.removeprefix("/api/v1").replace("/profile", "")) for one in profiles]


def _most(requests: Requests, seconds: float) -> Callable[[], float]:
    """Return a function that measures the most answers per second."""
    plenty = 2 * offer(requests, 0, WARM_UP_SECONDS, connections=CONNECTIONS).good
    return lambda: offer(requests, plenty, seconds, connections=CONNECTIONS).good


def _below(scene: Scene, report: Report, name: str, *asked: Requests) -> None:
    """Load hoc and the yardstick in turn, each at 80 % of its own most, in short slices."""
    slices = round(scene.options.rounds * scene.options.seconds / SLICE_SECONDS)
    most = [_most(requests, SLICE_SECONDS) for requests in asked]
    ours, theirs = list[Offered](), list[Offered]()
    for _ in range(slices):
        for requests, of_these, kept in zip(asked, most, (ours, theirs), strict=True):
            kept.append(offer(requests, BELOW * of_these(), SLICE_SECONDS, connections=CONNECTIONS))
    report.add(
        f"{name}, {BELOW:.0%} of the most: p99 / p50",
        _tail(ours),
        "x",
        goal=at_most(5),
        detail=f"p50 {median(one.good_p50 for one in ours) * 1_000:.2f} ms, "
        f"p99 {median(one.good_p99 for one in ours) * 1_000:.2f} ms, "
        f"answered {median(one.good for one in ours):,.0f}/s, failed {sum(one.failed for one in ours)}",
    )
    report.add(f"{name}, {BELOW:.0%} of the most: p99 / p50 of the bare route", _tail(theirs), "x")


def _tail(offered: Sequence[Offered]) -> float:
    return median(one.good_p99 / one.good_p50 for one in offered)


def _beyond(scene: Scene, report: Report, name: str, server: Server, requests: Requests) -> None:
    seconds = scene.options.seconds
    most = _most(requests, seconds / 2)
    for connections in CALLERS:
        before = server.resident_bytes()
        peaks: list[float] = []
        beyond: list[Offered] = []
        with _watching(server) as memory:
            for _ in range(scene.options.rounds):
                peak = most()
                beyond.append(offer(requests, BEYOND * peak, seconds, connections=connections))
                peaks.append((peak + most()) / 2)
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
    """Measure the cost of many connections, for hoc and the bare route."""
    with hoc(url, scene.place) as server, bare(url, scene.place) as raw:
        asked = {
            "hoc": scene.requests(server.url, of_kind),
            "bare": scene.requests(raw.url, _to_bare(of_kind)),
        }
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
