"""Lists, searches and statistics, compared with the peers."""

from contextlib import ExitStack
from functools import partial

from filling import COMMON, RARE
from load import Request, Side, contest, middle, ratio, wrk
from report import Report, at_least
from scene import Scene
from servers import hoc, peer

PAGES = 100  # of a hundred accounts each; hoc counts no further
PATHS = {
    "list, any page": [f"/accounts?page={page}&page_size=100" for page in range(1, PAGES + 1)],
    "search, rare term": [f"/accounts/search?query={RARE}"],
    "search, common term": [f"/accounts/search?query={COMMON}"],
    "statistics": ["/accounts/stats"],
}
GOALS = {("search, common term", "FastAPI and ORM"): at_least(0.8)}


def measure(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    with ExitStack() as stack:
        servers = {
            "hoc": stack.enter_context(hoc(url, scene.place)).url,
            "FastAPI and ORM": stack.enter_context(peer("orm", url, scene.place)).url,
            "seed's statements": stack.enter_context(peer("seed", url, scene.place)).url,
        }
        for name, paths in PATHS.items():
            sides = []
            for side, server in servers.items():
                prefix, token = ("/api/v1", scene.admin) if side == "hoc" else ("", None)
                requests = scene.requests(server, [Request("GET", prefix + path, token) for path in paths])
                requests.answer()
                sides.append(Side(side, partial(wrk, requests)))
            measured = contest(sides, rounds=scene.options.rounds, seconds=scene.options.seconds)
            rates = ", ".join(f"{side} {middle(found).rate:,.1f}/s" for side, found in measured.items())
            for other in ("FastAPI and ORM", "seed's statements"):
                report.add(
                    f"{name}: hoc / {other}",
                    ratio(measured, "hoc", other),
                    "x",
                    goal=GOALS.get((name, other)),
                    detail=rates,
                )
                rates = ""
