"""Garbage gets a SCIM error of class 4xx, changes nothing, and is no defect in the log."""

import logging
from typing import Any

import pytest
from support.scim_client import BULK, GROUP, PATCH, SEARCH, USER, ScimClient, scim_refusal

NUL, SURROGATE = "a\x00b", "\ud800"
BODIES = [
    b"",
    b"{",
    b"\xff\xfe",
    b'{"schemas": ["\\ud800"]}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": NaN}',
    b"null",
    b"[]",
    b"1",
    b'"text"',
    b'{"schemas": 1}',
    b'{"schemas": []}',
    b'{"schemas": ["urn:nothing"]}',
]
USERS: list[Any] = [
    {},
    {"userName": None},
    {"userName": ""},
    {"userName": 1},
    {"userName": []},
    {"userName": {}},
    {"userName": NUL},
    {"userName": "x", "displayName": NUL},
    {"userName": "x", "externalId": NUL},
    {"userName": "x", "name": "text"},
    {"userName": "x", "name": {"givenName": NUL}},
    {"userName": "x", "emails": "text"},
    {"userName": "x", "emails": [1]},
    {"userName": "x", "emails": [{"value": NUL}]},
    {"userName": "x", "emails": [{"value": {}}]},
    {"userName": "x", "active": "perhaps"},
    {"userName": "x", "active": []},
    {
        "userName": "x",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": NUL}},
    },
]
GROUPS: list[Any] = [
    {"displayName": 1},
    {"displayName": NUL},
    {"displayName": "x", "members": 1},
    {"displayName": "x", "members": [1]},
    {"displayName": "x", "members": [{"value": NUL}]},
    {"displayName": "x", "members": [{"value": "i" * 100_000}]},
    {"displayName": "x", "members": [{"value": {}}]},
]
PATCHES: list[Any] = [
    None,
    1,
    [],
    [1],
    [{}],
    [{"op": "nothing", "path": "title"}],
    [{"op": 1}],
    [{"op": "replace", "path": 1, "value": 1}],
    [{"op": "replace", "path": "emails[", "value": "x"}],
    [{"op": "replace", "path": "[" * 5_000, "value": "x"}],
    [{"op": "replace", "path": "emails[" + "(" * 5_000 + 'type eq "work"' + ")" * 5_000 + "]", "value": "x"}],
    [{"op": "replace", "path": f'emails[type eq "{NUL}"].value', "value": "x"}],
    [{"op": "replace", "path": "title", "value": NUL}],
    [{"op": "replace", "path": "userName", "value": NUL}],
    [{"op": "replace", "path": "userName", "value": None}],
    [{"op": "remove", "path": "userName"}],
    [{"op": "replace", "path": "active", "value": "perhaps"}],
    [{"op": "replace", "path": "id", "value": "x"}],
    [{"op": "replace", "value": "text"}],
    [{"op": "replace", "value": [1]}],
    [{"op": "remove"}],
]
FILTERS = [
    "(",
    "userName",
    "userName eq",
    "userName eq 1",
    "userName eq [",
    'userName xx "a"',
    'nothing eq "a"',
    'userName eq "a" and',
    f'userName eq "{NUL}"',
    'userName eq "\\u0000"',
    'userName eq "\\ud800"',
    'active gt "a"',
    'meta.created gt "yesterday"',
    'meta.created gt "9999999-01-01T00:00:00Z"',
    "not (" * 600 + 'userName eq "a"' + ")" * 600,
    " and ".join(['title eq "a"'] * 51),
    'userName eq "' + "x" * 4_000 + '"',
    'emails[emails[value eq "a"]]',
    "password pr",
]
QUERIES = [
    {"count": "x"},
    {"startIndex": "x"},
    {"count": "1.5"},
    {"count": "1" * 5_000},
    {"sortBy": "nothing"},
    {"sortBy": NUL},
    {"sortBy": "emails["},
    {"sortOrder": "sideways"},
    {"attributes": "[" * 100},
    {"excludedAttributes": NUL},
    {"cursor": "x"},
    {"cursor": NUL},
    {"cursor": "\u00e9"},
    {"cursor": "e30.AAAA"},
    {"cursor": "x" * 5_000},
    {"cursor": "", "count": "-1x"},
]
SMALL = [{"count": "-1"}, {"count": str(-(2**63))}, {"startIndex": "-1"}, {"startIndex": str(-(2**63))}]
LARGE = [{"count": str(2**63)}, {"count": str(2**31)}, {"startIndex": str(2**31)}, {"startIndex": str(2**63)}]
DEEPEST = "(" * 1_900 + 'userName eq "ada"' + ")" * 1_900


class Refusals:
    """Sends requests, and notes those that are not refused as they should be."""

    def __init__(self, directory: ScimClient) -> None:
        self.directory = directory
        self.wrong: list[tuple[str, str, str, int]] = []

    async def expect(self, method: str, path: str, body: object = None, **given: Any) -> None:
        answer = await self.directory.call(method, path, body, **given)
        if 400 <= answer.status_code < 500:
            scim_refusal(answer)
        else:
            self.wrong.append((method, path, f"{body!r} {given}"[:120], answer.status_code))


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
async def refusals(directory: ScimClient) -> Any:
    refusals = Refusals(directory)
    await directory.create_user("ada")
    before = await directory.everything()
    yield refusals
    assert refusals.wrong == []
    assert await directory.everything() == before


async def _user(directory: ScimClient) -> str:
    found = await directory.done("GET", "/Users")
    return f"/Users/{found['Resources'][0]['id']}"


async def test_no_body_of_another_form_is_taken(refusals: Refusals) -> None:
    path = await _user(refusals.directory)
    for body in BODIES:
        for method, at in (
            ("POST", "/Users"),
            ("POST", "/Groups"),
            ("PUT", path),
            ("PATCH", path),
            ("POST", "/Bulk"),
        ):
            await refusals.expect(method, at, body)


async def test_no_attribute_of_another_form_is_taken(refusals: Refusals) -> None:
    path = await _user(refusals.directory)
    for user in USERS:
        await refusals.expect("POST", "/Users", {"schemas": [USER], **user})
        await refusals.expect("PUT", path, {"schemas": [USER], **user})
    for group in GROUPS:
        await refusals.expect("POST", "/Groups", {"schemas": [GROUP], **group})


async def test_no_patch_of_another_form_is_taken(refusals: Refusals) -> None:
    path = await _user(refusals.directory)
    for operations in PATCHES:
        await refusals.expect("PATCH", path, {"schemas": [PATCH], "Operations": operations})


async def test_no_filter_of_another_form_is_taken(refusals: Refusals) -> None:
    for wanted in FILTERS:
        await refusals.expect("GET", "/Users", params={"filter": wanted})
        for name in ("filter", "FILTER"):
            await refusals.expect("POST", "/.search", {"schemas": [SEARCH], name: wanted})


async def test_no_query_of_another_form_is_taken(refusals: Refusals) -> None:
    for query in QUERIES:
        await refusals.expect("GET", "/Users", params=query)
    await refusals.expect("GET", "/Users?" + "&".join(["a=b"] * 200))
    wrong: dict[str, Any] = {"filter": 1, "count": "x", "sortBy": {}, "cursor": 1, "attributes": 1}
    for name, value in wrong.items():
        await refusals.expect("POST", "/Users/.search", {"schemas": [SEARCH], name: value})


async def test_a_small_or_large_number_means_its_bound(directory: ScimClient) -> None:
    """RFC 7644, section 3.4.2.4: a negative count is 0, and a startIndex below 1 is 1."""
    await directory.create_user("ada")
    for query in SMALL:
        found = await directory.done("GET", "/Users", params=query)
        assert (found["totalResults"], len(found.get("Resources", []))) == (1, "startIndex" in query)
    for query in LARGE:
        found = await directory.done("GET", "/Users", params=query)
        assert (found["totalResults"], len(found.get("Resources", []))) == (1, "count" in query)


async def test_the_deepest_filter_is_answered(directory: ScimClient) -> None:
    await directory.create_user("ada")
    assert (await directory.done("GET", "/Users", params={"filter": DEEPEST}))["totalResults"] == 1


async def test_only_known_paths_methods_and_types_are_served(refusals: Refusals) -> None:
    user = {"schemas": [USER], "userName": "eve"}
    for media_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
        await refusals.expect("POST", "/Users", user, headers={"Content-Type": media_type})
    for method, path in (
        ("GET", "/Nothing"),
        ("GET", "/Users/%00"),
        ("GET", "/Users/%ED%A0%80"),
        ("GET", f"/Users/{'x' * 5_000}"),
        ("GET", "/Users/a/b"),
        ("DELETE", "/Users"),
        ("PUT", "/Schemas"),
        ("GET", "/Schemas/nothing"),
        ("GET", "/ResourceTypes/nothing"),
        ("POST", "/Users/x"),
    ):
        await refusals.expect(method, path)
    await refusals.expect("POST", "/Users", b" " * (1_048_576 + 1))


async def test_garbage_in_a_bulk_is_refused(refusals: Refusals) -> None:
    bulk = {"schemas": [BULK]}
    for operations in (None, 1, [{"method": "POST", "path": "/Users"}] * 1_001):
        await refusals.expect("POST", "/Bulk", {**bulk, "Operations": operations})
    creations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": {"schemas": [USER], **user}}
        for number, user in enumerate(USERS)
    ]
    elsewhere = [
        {"method": "POST", "path": path, "bulkId": path, "data": {"schemas": [USER], "userName": "x"}}
        for path in ("/", "/Nothing", "/Users/%00", "/Users/a/b", "/bulkId:x", "/Bulk")
    ]
    everything: list[Any] = [1, {}, *creations, *elsewhere]
    answer = await refusals.directory.done("POST", "/Bulk", {**bulk, "Operations": everything})
    assert len(answer["Operations"]) == len(everything)
    assert {each["status"] for each in answer["Operations"]} <= {"400", "404", "405"}
