"""Conditional requests (RFC 9110, section 13): on every resource that changes, and on every read."""

import pytest
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers, problem_of, raw
from support.routes import ROUTES, Route
from support.world import Team

CONDITIONAL = [route for route in ROUTES.values() if route.operation.conditional]
UNCONDITIONAL = [
    route for route in ROUTES.values() if route.method != "GET" and not route.operation.conditional
]
READS = [route for route in ROUTES.values() if route.method == "GET"]
VERSIONED = [route for route in READS if route.operation.is_versioned]
OTHER_TAGS = (
    *('"999.00000000.00000000"', 'W/"1.00000000.00000000"', '"1"', '"x"', "1", '""', '"1.00000000"'),
    *('"1.00000000.0000000"', '"1.00000000.00000000'),
)


def version_in(tag: str) -> int:
    return int(tag.strip('"').partition(".")[0])


async def read_tag(console: Console, route: Route, values: dict[str, str], headers: Headers) -> str:
    """The tag of what the route changes."""
    path = {"/accounts/profile": f"{MOUNT}/profile"}.get(route.path)
    if "tenant_id" in values:
        path = f"{IDENTITY_MOUNT}/tenants/{values['tenant_id']}"
    if "project_id" in values:
        path = f"{MOUNT}/projects/{values['project_id']}"
    if "domain" in values:
        path = f"{MOUNT}/domains/{values['domain']}"
    if "endpoint_id" in values:
        path = f"{route.mount}/webhooks/{values['endpoint_id']}"
    if path is None:
        path = f"{IDENTITY_MOUNT}/accounts/profile" if route.mount == IDENTITY_MOUNT else f"{MOUNT}/users"
        path += f"/{values['user_id']}"
    return (await console.client.get(HOST + path, headers=headers)).headers["etag"]


@pytest.mark.parametrize(
    "tag", ['"0"', '"999"', '"999999999999"', "1", '"x"', 'W/"1"', '"1", "2"', '""', '"', '"-1"', '"\u0661"']
)
async def test_a_tag_that_is_not_the_current_one_is_refused(
    console: Console, team: Team, headers: Headers, tag: str
) -> None:
    for path, body in (
        ("/profile", {"display_name": "Me"}),
        (f"/users/{team.viewer}/role", {"role": "member"}),
    ):
        answer = await console.client.put(path, json=body, headers=raw(headers, "If-Match", tag.encode()))
        assert (answer.status_code, problem_of(answer)["code"]) == (412, "stale_version")
    read = await console.client.get(f"/users/{team.viewer}", headers=headers)
    assert read.json()["role"] == "viewer"


async def test_the_current_tag_and_a_star_are_accepted(console: Console, headers: Headers) -> None:
    tag = (await console.client.get("/profile", headers=headers)).headers["etag"]
    for number, match in enumerate((tag, "*", " * ")):
        body = {"display_name": f"Name {number}"}
        answer = await console.client.put("/profile", json=body, headers=headers | {"If-Match": match})
        assert answer.status_code == 200
        assert version_in(answer.headers["etag"]) == version_in(tag) + number + 1
    stale = await console.client.put("/profile", json={}, headers=headers | {"If-Match": tag})
    assert stale.status_code == 412


async def test_a_change_of_nothing_makes_no_new_version(
    console: Console, team: Team, headers: Headers
) -> None:
    body = {"display_name": "Me", "timezone": "Europe/Berlin", "preferences": {"a": {"b": 1}}}
    first = await console.client.put("/profile", json=body, headers=headers)
    again = await console.client.put("/profile", json=body, headers=headers)
    empty = await console.client.put("/profile", json={}, headers=headers)
    for answer in (again, empty):
        assert (answer.headers["etag"], answer.json()) == (first.headers["etag"], first.json())

    path = f"/users/{team.viewer}"
    before = await console.client.get(path, headers=headers)
    await console.client.put(f"{path}/role", json={"role": "viewer"}, headers=headers)
    after = await console.client.get(path, headers=headers)
    assert (after.headers["etag"], after.json()) == (before.headers["etag"], before.json())


async def test_one_of_two_changes_to_a_version_is_refused(
    console: Console, team: Team, headers: Headers
) -> None:
    path = f"/users/{team.viewer}"
    tag = (await console.client.get(path, headers=headers)).headers["etag"]
    statuses = [
        (
            await console.client.put(f"{path}/role", json={"role": role}, headers=headers | {"If-Match": tag})
        ).status_code
        for role in ("member", "admin")
    ]
    assert statuses == [200, 412]


@pytest.mark.parametrize("route", CONDITIONAL, ids=str)
async def test_a_change_is_made_to_the_version_that_is_named(
    console: Console, team: Team, route: Route
) -> None:
    values = await route.prepare(console, team)
    headers = route.allowed(console, team, values)
    tag = await read_tag(console, route, values, headers)
    version, shown, check = tag.strip('"').split(".")
    altered = f'"{version}.{shown}"', f'"{version}.00000000.{check}"', f'"{version}.{shown}.00000000"'
    for other in (*OTHER_TAGS, *altered, f"W/{tag}"):
        answer = await console.client.request(
            **route.request(values), headers=raw(headers, "If-Match", other.encode())
        )
        assert (answer.status_code, problem_of(answer)["code"]) == (412, "stale_version"), other
    for unwanted in ("*", tag, f"W/{tag}"):
        answer = await console.client.request(
            **route.request(values), headers=headers | {"If-None-Match": unwanted}
        )
        assert answer.status_code == 412
    assert await read_tag(console, route, values, headers) == tag
    listed = f'"x", "0.00000000.00000000",, W/"999.00000000.00000000",{tag} , "998.00000000"'
    answer = await console.client.request(**route.request(values), headers=headers | {"If-Match": listed})
    assert answer.status_code == 200, answer.text


async def test_the_tag_of_another_resource_is_refused(console: Console, team: Team, headers: Headers) -> None:
    """Two new members have the same version, and so have one user's memberships in two tenants."""
    path, role = f"/users/{team.viewer}", {"role": "member"}
    read = await console.client.get(path, headers=headers)
    tenant_id, owner = await console.tenant()
    await console.join(tenant_id, owner, "viewer", user_id=team.viewer, email=read.json()["email"])
    tag, *others = [
        read.headers["etag"],
        (await console.client.get(path, headers=console.as_(owner, tenant_id))).headers["etag"],
        (await console.client.get(f"/users/{team.member}", headers=headers)).headers["etag"],
    ]
    for other in others:
        assert version_in(other) == version_in(tag)
        answer = await console.client.put(f"{path}/role", json=role, headers=headers | {"If-Match": other})
        assert (answer.status_code, problem_of(answer)["code"]) == (412, "stale_version")
    own = headers | {"If-Match": tag}
    assert (await console.client.put(f"{path}/role", json=role, headers=own)).status_code == 200


@pytest.mark.parametrize("route", UNCONDITIONAL, ids=str)
async def test_what_has_no_version_matches_no_tag(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    headers = route.allowed(console, team, values)
    refused = await console.client.request(
        **route.request(values), headers=headers | {"If-Match": '"1.00000000.00000000"'}
    )
    assert (refused.status_code, problem_of(refused)["code"]) == (412, "stale_version")
    done = await console.client.request(**route.request(values), headers=headers | {"If-Match": "*"})
    assert done.is_success, done.text


@pytest.mark.parametrize("route", VERSIONED, ids=str)
async def test_a_read_of_what_is_known_is_answered_304(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    headers = route.allowed(console, team, values)
    read = await console.client.request(**route.request(values), headers=headers)
    tag = read.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = await console.client.request(
            **route.request(values), headers=headers | {"If-None-Match": known}
        )
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == read.headers["cache-control"]
        assert "content-type" not in answer.headers
    for unknown in OTHER_TAGS:
        answer = await console.client.request(
            **route.request(values), headers=headers | {"If-None-Match": unknown}
        )
        assert answer.json() == read.json()
    for match, status in ((tag, 200), (f'"x",{tag}', 200), ("*", 200), (f"W/{tag}", 412), ('"x"', 412)):
        answer = await console.client.request(**route.request(values), headers=headers | {"If-Match": match})
        assert answer.status_code == status


async def test_a_sign_in_is_seen_and_makes_no_edit_stale(
    console: Console, team: Team, headers: Headers
) -> None:
    """What is shown may change without the version that a change is compared with."""
    path = f"/users/{team.viewer}"
    tag = (await console.client.get(path, headers=headers)).headers["etag"]
    signed_in = f"/accounts/profile/{team.viewer}/sign-ins"
    await console.identity.post(signed_in, headers=headers)
    read = await console.client.get(path, headers=headers | {"If-None-Match": tag})
    assert (read.status_code, version_in(read.headers["etag"])) == (200, version_in(tag))
    changed = await console.client.put(
        f"{path}/role", json={"role": "member"}, headers=headers | {"If-Match": tag}
    )
    assert changed.status_code == 200


async def test_conditions_in_several_lines_are_one_list(
    console: Console, team: Team, headers: Headers
) -> None:
    path = f"/users/{team.viewer}"
    tag = (await console.client.get(path, headers=headers)).headers["etag"].encode()
    lines = [*raw(headers, "If-None-Match", b'"x"'), (b"If-None-Match", tag)]
    assert (await console.client.get(path, headers=lines)).status_code == 304


async def test_a_list_of_too_many_tags_is_refused(console: Console, headers: Headers) -> None:
    tags = ", ".join(f'"{number}.00000000.00000000"' for number in range(21))
    answer = await console.client.put("/profile", json={}, headers=headers | {"If-Match": tags})
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "invalid_input")
