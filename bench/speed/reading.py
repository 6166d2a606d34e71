"""Reading an account by its id: hoc, the yardstick, and the peers."""

from contextlib import ExitStack
from functools import partial

from load import Request, Requests, Side, contest, middle, ratio, wrk
from report import Report, at_least
from scene import Scene
from servers import bare, hoc, peer

IDS = 50_000
CALLERS = 8_000  # each with its own token


def measure(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    ids = [row["user_id"] for row in scene.sample(url, IDS)]
    tokens = [scene.token(user_id) for user_id in ids[:CALLERS]]
    ours = [Request("GET", f"/api/v1/accounts/profile/{user_id}", scene.admin) for user_id in ids]
    own = [
        Request("GET", f"/api/v1/accounts/profile/{user_id}", token)
        for user_id, token in zip(ids, tokens, strict=False)
    ]
    bare_ones = [Request("GET", f"/accounts/{user_id}") for user_id in ids]
    theirs = [Request("GET", f"/accounts/profile/{user_id}") for user_id in ids]
    with ExitStack() as stack:
        server = stack.enter_context(hoc(url, scene.place))
        places = {
            "hoc": (server.url, ours),
            "bare": (stack.enter_context(bare(url, scene.place)).url, bare_ones),
            "bare, pool resets": (stack.enter_context(bare(url, scene.place, resets=True)).url, bare_ones),
            "hoc, 8,000 callers": (server.url, own),
            "FastAPI and ORM": (stack.enter_context(peer("orm", url, scene.place)).url, theirs),
            "seed's statements": (stack.enter_context(peer("seed", url, scene.place)).url, theirs),
        }
        asked = {name: scene.requests(*place) for name, place in places.items()}
        _must_agree(asked)
        measured = contest(
            [Side(name, partial(wrk, requests)) for name, requests in asked.items()],
            rounds=scene.options.rounds,
            seconds=scene.options.seconds,
        )
    rates = ", ".join(f"{name} {middle(found).rate:,.0f}/s" for name, found in measured.items())
    report.add("profile: hoc / bare", ratio(measured, "hoc", "bare"), "x", goal=at_least(1.5), detail=rates)
    report.add(
        "profile: hoc / bare, whose pool resets connections",
        ratio(measured, "hoc", "bare, pool resets"),
        "x",
        goal=at_least(1.5),
    )
    for other in ("bare", "FastAPI and ORM", "seed's statements"):
        name = "hoc, 8,000 callers" if other == "bare" else "hoc"
        report.add(f"profile: {name} / {other}", ratio(measured, name, other), "x")


def _must_agree(asked: dict[str, Requests]) -> None:
    """Raise RuntimeError unless all sides return the same account."""
    answers = {name: requests.answer().json() for name, requests in asked.items()}
    if any(answer != answers["hoc"] for answer in answers.values()):
        raise RuntimeError(f"The sides answer differently: {answers}")
