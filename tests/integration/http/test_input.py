"""Hostile input to both services: a refusal in the declared shape, never a failure of the server."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import quote, unquote

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers, problem_of, raw
from support.effort import examples
from support.hostile import (
    CHARACTERS,
    HOSTILE_BYTES,
    HOSTILE_NUMBERS,
    HOSTILE_TEXT,
    HOSTILE_VALUES,
    IDS,
    JSON,
    JSON_VALUES,
    assert_refused_or_done,
)
from support.routes import EXAMPLES, PAGES, ROUTES, WITH_BODY, WITH_ID, Route, new_account
from support.world import Team

MAX_BODY_BYTES = 65_536
ACCOUNTS = f"{HOST}{IDENTITY_MOUNT}/accounts"

# Whole numbers in a query, with values out of their bounds; and parameters that take one of a few words.
OUT_OF_BOUNDS = {
    "limit": ["0", "101", str(2**31)],
    "offset": ["10001", str(2**31)],
    "page": ["0", "202", str(2**31)],
    "page_size": ["0", "101", str(2**31)],
    "after": [str(2**63)],
}
FILTERS = ("role", "status", "priority", "category", "type", "is_active", "include_inactive")


def parameters(*names: str) -> list[Any]:
    """Each route with each of these query parameters that it takes."""
    return [
        pytest.param(route, name, id=f"{route}?{name}")
        for route in ROUTES.values()
        for name in names
        if route.operation.query is not None and name in route.operation.query.model_fields
    ]


async def sent(
    console: Console, route: Route, content: bytes | AsyncIterator[bytes], headers: Headers
) -> httpx.Response:
    request = route.request(json=None, content=content, headers=JSON | headers)
    return await console.client.request(**request)


def pointers(answer: httpx.Response) -> list[str]:
    """The pointers of a 400 answer's problems."""
    assert answer.status_code == 400, answer.text
    return [error["pointer"] for error in problem_of(answer)["errors"]]


def pointer_to(route: Route, name: str) -> str:
    """The pointer to a field. An account's preferences are the whole body."""
    return "" if "/preferences/" in route.path else f"/{name}"


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_bytes_that_are_no_body_are_refused(console: Console, headers: Headers, route: Route) -> None:
    for content in HOSTILE_BYTES:
        answer = await sent(console, route, content, headers)
        assert answer.status_code == 400 or (route.mount == MOUNT and 400 < answer.status_code < 500)
        problem_of(answer)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_hostile_values_break_no_field(
    console: Console, team: Team, headers: Headers, route: Route
) -> None:
    values = await route.prepare(console, team)
    for name in route.body or {}:
        expected = pointer_to(route, name)
        for value in [*HOSTILE_TEXT, *HOSTILE_VALUES]:
            if route.prepare is new_account:
                values = await new_account(console, team)
            content = json.dumps(route.filled(values) | {name: value}, ensure_ascii=False).encode()
            request = route.request(values, json=None, content=content, headers=headers | JSON)
            answer = await console.client.request(**request)
            assert_refused_or_done(answer)
            if answer.status_code == 400:
                found = pointers(answer)
                assert found, (name, value)
                is_whole_body = expected == ""
                assert all(
                    each == expected or (not is_whole_body and each.startswith(f"{expected}/"))
                    for each in found
                ), found


@pytest.mark.parametrize(
    "name",
    [
        *("tenant_id", "user_id", "role", "plan", "status", "version"),
        *("email_verified", "created_at", "deleted_at", "x", "é", "a/b~c"),
    ],
)
@pytest.mark.parametrize("route", [each for each in WITH_BODY if pointer_to(each, "x")], ids=str)
async def test_unknown_fields_are_refused(
    console: Console, headers: Headers, route: Route, name: str
) -> None:
    body = route.filled()
    if name in body:
        return
    answer = await sent(console, route, orjson.dumps(body | {name: "owner"}), headers)
    assert pointers(answer) == ["/" + name.replace("~", "~0").replace("/", "~1")]


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@settings(max_examples=examples(25, torture=1_000))
@given(data=st.data())
async def test_any_json_is_refused_or_done(console: Console, data: st.DataObject, route: Route) -> None:
    fields = {name: st.just(value) | JSON_VALUES for name, value in route.filled().items()}
    body = data.draw(st.fixed_dictionaries({}, optional=fields) | JSON_VALUES)
    assert_refused_or_done(await sent(console, route, orjson.dumps(body), await console.fuzzed()))


@settings(max_examples=examples(60, torture=1_000))
@given(content=st.binary(max_size=200))
async def test_any_bytes_are_refused_or_done(console: Console, content: bytes) -> None:
    headers = await console.fuzzed() | JSON
    assert_refused_or_done(await console.client.put("/profile", content=content, headers=headers))


@pytest.mark.parametrize("depth", range(1, 12))
@pytest.mark.parametrize("leaf", ["\x00", "text", {"\x00": 1}, ["\x00"], 1])
async def test_preferences_of_any_depth_are_stored_or_refused(
    console: Console, headers: Headers, depth: int, leaf: object
) -> None:
    """A value that PostgreSQL's jsonb cannot hold is refused at any depth."""
    value = leaf
    for _ in range(depth):
        value = {"a": value}
    answer = await console.client.put("/profile", json={"preferences": value}, headers=headers)
    assert_refused_or_done(answer)
    if "\\u0000" in json.dumps(leaf):
        assert answer.status_code == 400
    if answer.is_error:
        assert pointers(answer) == ["/preferences"]
    else:
        stored = await console.client.get("/profile", headers=headers)
        assert stored.json()["preferences"] == value


@settings(max_examples=examples(40, torture=1_000))
@given(preferences=st.dictionaries(st.text(), JSON_VALUES, max_size=5))
async def test_acknowledged_preferences_are_stored(console: Console, preferences: dict[str, Any]) -> None:
    tenant_id, owner = await console.tenant()
    headers = console.as_(owner, tenant_id) | JSON
    try:
        content = orjson.dumps({"preferences": preferences})
    except orjson.JSONEncodeError:  # a lone surrogate
        content = json.dumps({"preferences": preferences}).encode()
    answer = await console.client.put("/profile", content=content, headers=headers)
    assert_refused_or_done(answer)
    if answer.is_success:
        stored = (await console.client.get("/profile", headers=headers)).json()["preferences"]
        assert stored == answer.json()["preferences"]
        assert _as_floats(stored) == _as_floats(_merged({}, preferences))


def _as_floats(value: Any) -> Any:
    """PostgreSQL keeps numbers as decimals: 6e16 comes back as the integer that is the same double."""
    return json.loads(json.dumps(value), parse_int=float)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    changes = cast("dict[str, Any]", patch)
    merged: dict[str, Any] = cast("dict[str, Any]", target) if isinstance(target, dict) else {}
    kept = {key: value for key, value in merged.items() if key not in changes}
    given = {key: _merged(merged.get(key), value) for key, value in changes.items() if value is not None}
    return kept | given


@settings(max_examples=examples(40, torture=1_000))
@given(email=st.text(CHARACTERS, max_size=40) | st.emails(), name=st.text(CHARACTERS, max_size=40))
async def test_an_acknowledged_account_is_stored(console: Console, email: str, name: str) -> None:
    headers, user_id = console.scoped("accounts:admin"), console.new_id()
    body = {"user_id": user_id, "email": email, "name": name}
    answer = await console.client.post(
        f"{ACCOUNTS}/ensure", content=orjson.dumps(body), headers=headers | JSON
    )
    assert_refused_or_done(answer)
    if answer.is_success:
        account = answer.json()
        assert (account["email"], account["name"]) == (email.strip(), name.strip())
        stored = await console.client.get(f"{ACCOUNTS}/profile/{user_id}", headers=headers)
        assert stored.json() == account
        await console.client.delete(f"{ACCOUNTS}/profile/{user_id}", headers=headers)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_body_too_large_is_not_read_to_its_end(
    console: Console, headers: Headers, route: Route
) -> None:
    chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal chunks
        while True:
            chunks += 1
            yield b" " * 8_192

    for content in (b" " * (MAX_BODY_BYTES + 1), endless()):
        answer = await sent(console, route, content, headers)
        assert (answer.status_code, problem_of(answer)["code"]) == (413, "body_too_large")
    assert chunks <= MAX_BODY_BYTES / 8_192 + 2


async def test_a_body_of_the_largest_size_is_read(console: Console, headers: Headers) -> None:
    fitting = b'{"display_name": "Me"}'.ljust(MAX_BODY_BYTES)
    answer = await console.client.put("/profile", content=fitting, headers=headers | JSON)
    assert answer.status_code == 200


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_form_cannot_pose_as_json(console: Console, headers: Headers, route: Route) -> None:
    """The media types that a browser sends without a preflight request are refused (CVE-2021-32677)."""
    media_types = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json")
    content = orjson.dumps(route.filled())
    for media_type in (*media_types, "application/jsonx"):
        answer = await sent(console, route, content, headers | {"Content-Type": media_type})
        assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported_media_type")
    missing = console.client.build_request(**route.request(json=None, content=content, headers=headers))
    assert "content-type" not in missing.headers
    assert (await console.client.send(missing)).status_code == 415


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"]
)
async def test_json_is_known_by_any_spelling(console: Console, headers: Headers, media_type: str) -> None:
    typed = headers | {"Content-Type": media_type}
    assert (await console.client.put("/profile", content=b"{}", headers=typed)).status_code == 200


async def test_a_body_that_is_optional_is_not_ignored(console: Console, team: Team, headers: Headers) -> None:
    invitation_id, _ = await console.invite(team.tenant_id, team.owner)
    path = f"/invitations/{invitation_id}/resend"

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"expires_in_days": 3}'

    assert (await console.client.post(path, headers=headers)).status_code == 200
    untyped = await console.client.post(path, content=chunks(), headers=headers)
    assert untyped.status_code == 415
    typed = await console.client.post(path, content=chunks(), headers=headers | JSON)
    assert typed.status_code == 200


@pytest.mark.parametrize(("route", "name"), parameters(*OUT_OF_BOUNDS))
async def test_a_number_that_is_none_is_refused(
    console: Console, headers: Headers, route: Route, name: str
) -> None:
    url = httpx.URL(route.url(), params=route.query)
    for value in [*HOSTILE_NUMBERS, *OUT_OF_BOUNDS[name]]:
        answer = await console.client.get(url.copy_merge_params({name: value}), headers=headers)
        assert pointers(answer) == [f"?{name}"], value


@pytest.mark.parametrize(("route", "name"), parameters(*OUT_OF_BOUNDS, "cursor"))
async def test_a_parameter_given_twice_is_refused(
    console: Console, headers: Headers, route: Route, name: str
) -> None:
    url = httpx.URL(route.url(), params=route.query | {name: ["1", "1"]})
    assert pointers(await console.client.get(url, headers=headers)) == [f"?{name}"]


@pytest.mark.parametrize(("route", "name"), parameters(*FILTERS))
async def test_an_unknown_filter_is_refused(
    console: Console, headers: Headers, route: Route, name: str
) -> None:
    url = httpx.URL(route.url(), params=route.query)
    words = ["", "nothing", "OWNER", "active ", "\x00", "x" * 10_000, "%", "owner,admin"]
    for value in [*words, "1", "TRUE", "true ", "null"]:
        answer = await console.client.get(url.copy_merge_params({name: value}), headers=headers)
        assert pointers(answer) == [f"?{name}"], value


# The name and the filters that a list's cursor is bound to, besides its tenant or its caller.
CURSORS: dict[str, tuple[str, dict[str, None]]] = {
    "/projects": ("projects", {"status": None}),
    "/memberships": ("memberships", {"role": None}),
    "/users": ("users", {"role": None, "status": None, "search": None}),
    "/tenant/users": ("tenant_users", {"role": None}),
    "/invitations": ("invitations", {"status": None, "delivery": None}),
    "/received-invitations": ("received_invitations", {}),
    "/billing/invoices": ("invoices", {"status": None}),
    "/support/tickets": ("tickets", {"status": None, "priority": None, "category": None}),
}


def fingerprint(path: str, team: Team) -> str:
    name, filters = CURSORS[path]
    of = team.owner if path in {"/memberships", "/received-invitations"} else team.tenant_id
    return hashlib.sha256(orjson.dumps([name, of, filters])).hexdigest()[:16]


def hostile_cursors(fingerprint: str) -> list[str]:
    moment = "2026-01-01T00:00:00+00:00"
    parts: list[Any] = [
        [fingerprint, moment, []],
        [fingerprint, moment, {}],
        [fingerprint, moment, {"a": 1}],
        [fingerprint, moment, ["a"]],
        [fingerprint, moment, 1],
        [fingerprint, moment, None],
        [fingerprint, moment, "\x00"],
        [fingerprint, moment],
        [fingerprint, moment, "a", "b"],
        [fingerprint, "2026-01-01T00:00:00", "a"],
        [fingerprint, "never", "a"],
        [fingerprint, 1, "a"],
        [fingerprint, "0001-01-01T00:00:00+14:00", "a"],
        [fingerprint, "9999-12-31T23:59:59-14:00", "a"],
        [fingerprint[:-1], moment, "a"],
        ["0" * 16, moment, "a"],
        fingerprint,
        None,
        [],
        {},
        [1, 2, 3],
    ]
    encoded = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=").decode() for each in parts]
    deep = base64.urlsafe_b64encode(b"[" * 700).decode()
    return [*encoded, deep, "", "A", "é", "\x00", "====", "x" * 2_000, "../..", "%00"]


@pytest.mark.parametrize("path", CURSORS)
async def test_a_right_cursor_needs_no_offset(
    console: Console, team: Team, headers: Headers, path: str
) -> None:
    """This also shows that the fingerprint is right, without which the next test would test nothing."""
    cursor = [fingerprint(path, team), "2026-01-01T00:00:00+00:00", "a"]
    params = {"cursor": base64.urlsafe_b64encode(orjson.dumps(cursor)).decode()}
    assert (await console.client.get(path, params=params, headers=headers)).status_code == 200
    combined = await console.client.get(path, params=params | {"offset": "1"}, headers=headers)
    assert combined.status_code == 400


@pytest.mark.parametrize("route", PAGES, ids=str)
async def test_a_hostile_cursor_is_refused(
    console: Console, team: Team, headers: Headers, route: Route
) -> None:
    path = route.path.removeprefix(MOUNT)
    for cursor in hostile_cursors(fingerprint(path, team) if path in CURSORS else "0" * 16):
        answer = await console.client.get(route.url(), params={"cursor": cursor}, headers=headers)
        assert pointers(answer) == ["?cursor"], cursor


@settings(max_examples=examples(60, torture=1_000))
@given(
    query=st.dictionaries(
        st.sampled_from(["cursor", "search", "query", "x", *OUT_OF_BOUNDS, *FILTERS]),
        st.text(CHARACTERS, max_size=30) | st.integers().map(str),
    )
)
async def test_any_query_is_refused_or_done(console: Console, query: dict[str, str]) -> None:
    headers = await console.fuzzed()
    for url in (*(route.url() for route in PAGES), f"{ACCOUNTS}/search"):
        assert_refused_or_done(await console.client.get(url, params=query, headers=headers))


@pytest.mark.parametrize(("path", "name"), [("", "search"), ("/search", "query")])
async def test_a_search_takes_wildcards_literally(
    console: Console, headers: Headers, path: str, name: str
) -> None:
    fitting = [term for term in HOSTILE_TEXT if len(term) <= 10_000]  # in a URL
    for term in [*fitting, "%" * 255, "_" * 255, "\\" * 255, "a" * 255, "a" * 256, "{}", ":a", "$1"]:
        answer = await console.client.get(ACCOUNTS + path, params={name: term}, headers=headers)
        assert_refused_or_done(answer)
        if answer.is_error:
            assert pointers(answer) == [f"?{name}"]
        elif name == "query":
            folded = term.strip().lower()
            shown = [f"{found['name']} {found['email']}".lower() for found in answer.json()]
            assert all(folded in each for each in shown if folded.isascii())


@pytest.mark.parametrize("reason", ["", " ", "\x00", "a\r\nb", "\x1b[31m", "x" * 501, "x" * 10_000])
async def test_a_hostile_reason_deletes_nothing(
    console: Console, team: Team, headers: Headers, reason: str
) -> None:
    url = f"{ACCOUNTS}/profile/{team.viewer}"
    answer = await console.client.delete(url, params={"reason": reason}, headers=headers)
    assert answer.status_code == 400
    problem_of(answer)
    assert (await console.client.get(url, headers=headers)).status_code == 200


@pytest.mark.parametrize("route", WITH_ID, ids=str)
async def test_a_hostile_id_is_not_found(console: Console, headers: Headers, route: Route) -> None:
    expected = {400, 404} if "by-email" in route.path else {404, 405}
    for id_ in IDS:
        request = route.request(url=route.url(dict.fromkeys(EXAMPLES, id_)), headers=headers)
        answer = await console.client.request(**request)
        if answer.is_success or answer.status_code == 409:  # another test has made an account of this name
            assert unquote(id_) in HOSTILE_TEXT, id_
            continue
        assert answer.status_code in expected, (id_, answer.text)
        instance = problem_of(answer)["instance"]
        assert instance.isascii()
        assert instance.isprintable()


@settings(max_examples=examples(60, torture=1_000))
@given(id_=st.text(CHARACTERS, min_size=1, max_size=300))
@example("\n/")
async def test_any_id_is_refused_or_found(console: Console, id_: str) -> None:
    headers = await console.fuzzed()
    for route in WITH_ID:
        if route.method == "GET":
            url = route.url(dict.fromkeys(EXAMPLES, quote(id_, safe="")))
            assert_refused_or_done(await console.client.get(url, headers=headers))


@pytest.mark.parametrize(
    "name", ["Idempotency-Key", "If-Match", "X-Request-Id", "Content-Type", "Authorization", "Accept"]
)
async def test_hostile_headers_break_nothing(console: Console, headers: Headers, name: str) -> None:
    own = headers | JSON
    own.pop(name, None)
    plain = (b"", b" ", b"\x00", b"\xff", b"\x1b[31m", b'"', b"*", b"\t", b"1e5")
    for value in (*plain, b"x" * 300, b"x" * 20_000):
        given_headers = raw(own, name, value)
        email = json.dumps({"email": console.new_email()})
        for method, path, content in (("POST", "/users/invite", email), ("PUT", "/profile", "{}")):
            answer = await console.client.request(method, path, content=content, headers=given_headers)
            assert_refused_or_done(answer)


async def test_a_query_of_raw_bytes_breaks_nothing(console: Console, headers: Headers) -> None:
    """Some servers pass on a query that is not UTF-8."""
    sent: list[dict[str, Any]] = []
    encoded = [(name.lower(), value) for name, value in raw(headers)]
    for path in ("/users", "/users/nobody", "/nothing"):
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": b"limit=1&x=\xff\xfe", "headers": encoded, "http_version": "1.1",
            "scheme": "http", "server": ("console.test", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await console.served.console_app(scope, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [400, 400, 404]
