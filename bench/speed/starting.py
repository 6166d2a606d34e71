"""`hoc serve`: the time until its first answer, and the gain by a second worker."""

import shutil
import time
from functools import partial
from pathlib import Path
from statistics import median

from load import Request, Side, contest, middle, ratio, wrk
from report import Report, at_most
from scene import Scene
from servers import hoc_serve

IDS = 20_000
FIRST_STARTS = 3


def start(scene: Scene, report: Report) -> None:
    """Measure from the command to the first answer, with a new data directory and with a used one."""
    first, warm = [], []
    for number in range(min(FIRST_STARTS, scene.options.rounds)):
        data = scene.place / f"serve-{number}"
        first.append(_seconds(data))
        warm.extend(_seconds(data) for _ in range(2))
    report.add("first start ever", median(first), "s", goal=at_most(8), detail=_listed(first))
    report.add("warm start", median(warm), "s", goal=at_most(2), detail=_listed(warm))


def workers(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    ids = [row["user_id"] for row in scene.sample(url, IDS)]
    of_kind = [Request("GET", f"/api/v1/accounts/profile/{user_id}", scene.admin) for user_id in ids]
    one, two = scene.place / "one", scene.place / "two"
    for data in (one, two):
        data.mkdir(exist_ok=True)
        shutil.copy(scene.keys_file, data)
    with (
        hoc_serve(one, database_url=url, development="true") as single,
        hoc_serve(two, "--workers=2", database_url=url, development="true") as double,
    ):
        asked = {name: scene.requests(server.url, of_kind) for name, server in (("1", single), ("2", double))}
        measured = contest(
            [Side(name, partial(wrk, requests)) for name, requests in asked.items()],
            rounds=scene.options.rounds,
            seconds=scene.options.seconds,
        )
    rates = ", ".join(f"{name}: {middle(found).rate:,.0f}/s" for name, found in measured.items())
    report.add("profile, 2 workers / 1", ratio(measured, "2", "1"), "x", detail=rates)


def _seconds(data: Path) -> float:
    began = time.perf_counter()
    with hoc_serve(data):
        return time.perf_counter() - began


def _listed(seconds: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)
