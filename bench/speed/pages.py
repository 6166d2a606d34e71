"""The console's pages, each compared with the JSON route that shows the same: one request at a time."""

from functools import partial

from filling import CROWD
from load import Request, Side, contest, middle, one_at_a_time, ratio
from report import Report, at_most
from scene import ADMIN, Scene
from servers import hoc

PEOPLE = 2_000


def measure(scene: Scene, report: Report) -> None:
    url = scene.some_accounts
    owner = scene.owner(url)
    token = scene.keys.issue(owner, CROWD, scopes=(ADMIN,))
    member_rows = scene.fetch(
        url, "SELECT user_id FROM account.memberships WHERE tenant_id = $1 LIMIT $2", CROWD, PEOPLE
    )
    members = [row["user_id"] for row in member_rows]
    people = [row["user_id"] for row in scene.sample(url, PEOPLE)]
    place, console, identity = f"/projects/{CROWD}", "/accounts", "/api/v1"
    pairs = {
        "members": ([f"{place}/members"], [f"{console}/users"]),
        "a member": (
            [f"{place}/members/{user_id}" for user_id in members],
            [f"{console}/users/{user_id}" for user_id in members],
        ),
        "invitations": ([f"{place}/invitations"], [f"{console}/invitations"]),
        "accounts": (["/admin/accounts"], [f"{identity}/accounts"]),
        "an account": (
            [f"/admin/accounts/{user_id}" for user_id in people],
            [f"{identity}/accounts/profile/{user_id}" for user_id in people],
        ),
        "registrations": (["/admin/registrations"], [f"{identity}/registrations"]),
        "tenants": (["/admin/tenants"], [f"{identity}/tenants"]),
        "a tenant": ([f"/admin/tenants/{CROWD}"], [f"{identity}/tenants/{CROWD}"]),
    }
    cookies = f"hoc_session={token}; hoc_browser=of-a-benchmark"
    with hoc(url, scene.place) as server:
        for name, (pages, routes) in pairs.items():
            shown = [Request("GET", path, cookie=cookies) for path in pages]
            read = [Request("GET", path, token) for path in routes]
            sides = []
            for side, requests in (("page", shown), ("route", read)):
                asked = scene.requests(server.url, requests)
                asked.answer()
                sides.append(Side(side, partial(one_at_a_time, asked)))
            measured = contest(sides, rounds=scene.options.rounds, seconds=scene.options.seconds)
            times = [f"{side} {1_000 / middle(found).rate:.2f} ms" for side, found in measured.items()]
            report.add(
                f"{name}: time of the page / of the route",
                ratio(measured, "route", "page"),
                "x",
                goal=at_most(3),
                detail=", ".join(times),
            )
