"""A query parameter that a request does not take is refused, and so is never mistaken for a filter."""

import pytest
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers, problem_of
from support.routes import ROUTES, Route
from support.world import Team


@pytest.mark.parametrize("route", ROUTES.values(), ids=str)
async def test_no_route_takes_an_unknown_parameter(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    request = route.request(values)
    request["params"] = (request["params"] or {}) | {"colour": "blue"}
    answer = await console.client.request(**request, headers=route.allowed(console, team, values))
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (400, "invalid_input")
    assert [error["pointer"] for error in problem["errors"]] == ["?colour"]
    known = () if route.operation.query is None else route.operation.query.model_fields
    assert all(name in problem["detail"] for name in known)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        (f"{MOUNT}/users?role[]=owner", "role"),
        (f"{MOUNT}/users?Role=owner", "role"),
        (f"{MOUNT}/users?states=active", "status"),
        (f"{MOUNT}/tenant/users?limits=1", "limit"),
        (f"{IDENTITY_MOUNT}/accounts?active=false", "is_active"),
        (f"{IDENTITY_MOUNT}/accounts?pagesize=1", "page_size"),
        (f"{IDENTITY_MOUNT}/accounts/search?query=a&include_inactiv=true", "include_inactive"),
    ],
)
async def test_the_nearest_known_parameter_is_named(
    console: Console, headers: Headers, path: str, nearest: str
) -> None:
    answer = await console.client.get(HOST + path, headers=headers)
    assert answer.status_code == 400
    assert f"Did you mean {nearest}?" in problem_of(answer)["detail"]


async def test_many_unknown_parameters_get_a_short_answer(console: Console, headers: Headers) -> None:
    query = "&".join(f"{'x' * 120}{number}=1" for number in range(90))
    problem = problem_of(await console.client.get(f"/users?{query}", headers=headers))
    assert len(problem["errors"]) == 20


async def test_usage_by_day_takes_dates_alone(console: Console, headers: Headers) -> None:
    client = console.client
    shown = await client.get("/billing/usage?from=2026-03-01&to=2026-03-02", headers=headers)
    assert shown.json() == {
        "days": [{"day": f"2026-03-0{n}", "runs": 0, "tokens": 0} for n in (1, 2)],
    }
    for query, pointer in (
        ("from=20260301", "?from"),
        ("to=2026-02-30", "?to"),
        ("from=1700000000", "?from"),
        ("from=2026-03-02&to=2026-03-01", "?from"),
        ("from=2024-01-01&to=2026-03-01", "?from"),
    ):
        refused = await client.get(f"/billing/usage?{query}", headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, pointer)
