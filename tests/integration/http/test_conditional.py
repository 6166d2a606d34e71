"""ETag and If-Match: a change to an outdated version is refused."""

import pytest
from support.console import Console, Headers, problem_of, raw
from support.world import Team


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
        assert answer.headers["etag"] == f'"{int(tag.strip(chr(34))) + number + 1}"'
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
