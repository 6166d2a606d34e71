"""Hostile input: a refusal in the declared shape, never a failure of the server."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.console import Console, Tenant, new_email, problem_of, raw
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

MAX_BODY_BYTES = 65_536

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/projects"): {"name": "Mine", "slug": None, "description": None},
    ("POST", "/users/invite"): {"email": "a@example.com", "role": "member", "expires_in_days": 7},
    ("POST", "/invitations/inv_1/accept"): {"token": "ten_1.secret"},
    ("POST", "/invitations/inv_1/resend"): {"expires_in_days": 7},
    ("PUT", "/users/usr_1/role"): {"role": "member"},
    ("PUT", "/profile"): {"display_name": "Me", "timezone": "Europe/Berlin", "preferences": {}},
    ("POST", "/support/tickets"): {
        "subject": "Help", "description": "Please.", "category": "general", "priority": "low"
    },
    ("POST", "/tenant/ownership-transfer"): {"to_user_id": "usr_1"},
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
async def test_hand_made_bodies(console: Console, tenant: Tenant, method: str, path: str) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id) | JSON
    for content in HOSTILE_BYTES:
        answer = await console.client.request(method, path, content=content, headers=headers)
        assert 400 <= answer.status_code < 500, content[:100]
        problem_of(answer)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
async def test_hostile_values_in_every_field(
    console: Console, tenant: Tenant, method: str, path: str
) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    body = BODIES[method, path]
    for field in body:
        for value in [*HOSTILE_TEXT, *HOSTILE_VALUES]:
            content = json.dumps(body | {field: value}, ensure_ascii=False).encode()
            answer = await console.client.request(method, path, content=content, headers=headers | JSON)
            assert_refused_or_done(answer)
            if answer.status_code == 400 and "\x00" not in path:
                pointers = [error["pointer"] for error in problem_of(answer)["errors"]]
                assert all(pointer.startswith(f"/{field}") for pointer in pointers), (field, value, pointers)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
@settings(max_examples=25)
@given(data=st.data())
async def test_any_json(console: Console, data: st.DataObject, method: str, path: str) -> None:
    body = BODIES[method, path]
    fields = {field: st.just(value) | JSON_VALUES for field, value in body.items()}
    given_body = data.draw(st.fixed_dictionaries({}, optional=fields) | JSON_VALUES)
    headers = await console.fuzzed() | JSON
    answer = await console.client.request(method, path, content=orjson.dumps(given_body), headers=headers)
    assert_refused_or_done(answer)


@settings(max_examples=60)
@given(content=st.binary(max_size=200))
async def test_any_bytes(console: Console, content: bytes) -> None:
    headers = await console.fuzzed() | JSON
    answer = await console.client.put("/profile", content=content, headers=headers)
    assert_refused_or_done(answer)


@pytest.mark.parametrize("depth", range(1, 12))
@pytest.mark.parametrize("leaf", ["\x00", "text", {"\x00": 1}, ["\x00"], 1])
async def test_preferences_at_every_depth(console: Console, tenant: Tenant, depth: int, leaf: object) -> None:
    """What PostgreSQL's jsonb cannot hold is refused however deep it lies."""
    value = leaf
    for _ in range(depth):
        value = {"a": value}
    headers = console.as_(tenant.owner, tenant.tenant_id)
    answer = await console.client.put("/profile", json={"preferences": value}, headers=headers)
    assert_refused_or_done(answer)
    if "\\u0000" in json.dumps(leaf):
        assert answer.status_code == 400
    if answer.is_error:
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == ["/preferences"]
    else:
        stored = await console.client.get("/profile", headers=headers)
        assert stored.json()["preferences"] == value


@settings(max_examples=40)
@given(preferences=st.dictionaries(st.text(), JSON_VALUES, max_size=5))
async def test_acknowledged_preferences_are_stored(console: Console, preferences: dict[str, Any]) -> None:
    tenant_id, owner = await console.add_tenant()
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


async def test_the_body_is_capped(console: Console, tenant: Tenant) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id) | JSON
    fitting = b'{"display_name": "Me"}'.ljust(MAX_BODY_BYTES)
    assert (await console.client.put("/profile", content=fitting, headers=headers)).status_code == 200
    answer = await console.client.put("/profile", content=fitting + b" ", headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "body_too_large")


async def test_an_endless_body_is_not_read_to_its_end(console: Console, tenant: Tenant) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 8_192

    headers = console.as_(tenant.owner, tenant.tenant_id) | JSON
    answer = await console.client.put("/profile", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent <= MAX_BODY_BYTES / 8_192 + 2


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"]
)
async def test_json_by_any_spelling(console: Console, tenant: Tenant, media_type: str) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id) | {"Content-Type": media_type}
    answer = await console.client.put("/profile", content=b"{}", headers=headers)
    assert answer.status_code == 200


async def test_a_body_that_is_optional_is_not_ignored(console: Console, tenant: Tenant) -> None:
    invitation_id, _ = await console.invite(tenant.tenant_id, tenant.owner)
    headers = console.as_(tenant.owner, tenant.tenant_id)
    path = f"/invitations/{invitation_id}/resend"

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"expires_in_days": 3}'

    assert (await console.client.post(path, headers=headers)).status_code == 200
    untyped = await console.client.post(path, content=chunks(), headers=headers)
    assert untyped.status_code == 415
    typed = await console.client.post(path, content=chunks(), headers=headers | JSON)
    assert typed.status_code == 200


LISTS = (
    "/projects",
    "/memberships",
    "/users",
    "/tenant/users",
    "/invitations",
    "/billing/invoices",
    "/support/tickets",
)


@pytest.mark.parametrize("path", LISTS)
async def test_hostile_paging(console: Console, tenant: Tenant, path: str) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    for name, out_of_bounds in (("limit", ["0", "101"]), ("offset", ["10001"])):
        for value in [*HOSTILE_NUMBERS, *out_of_bounds]:
            answer = await console.client.get(path, params={name: value}, headers=headers)
            assert answer.status_code == 400, (name, value)
            assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"?{name}"]
    for query in ("limit=1&limit=2", "cursor=a&cursor=b", "offset=1&offset=1"):
        answer = await console.client.get(f"{path}?{query}", headers=headers)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/users", "role"),
        ("/users", "status"),
        ("/invitations", "status"),
        ("/support/tickets", "status"),
        ("/projects", "status"),
    ],
)  # fmt: skip
async def test_unknown_filters_are_refused(console: Console, tenant: Tenant, path: str, name: str) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    for value in ["", "nothing", "OWNER", "active ", "\x00", "x" * 10_000, "%", "owner,admin"]:
        answer = await console.client.get(path, params={name: value}, headers=headers)
        assert answer.status_code == 400, value
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"?{name}"]


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
        fingerprint,
        None,
        [],
    ]
    encoded = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=").decode() for each in parts]
    deep = base64.urlsafe_b64encode(b"[" * 700).decode()
    return [*encoded, deep, "", "A", "é", "\x00", "====", "x" * 2_000, "../..", "%00"]


@pytest.mark.parametrize("path", LISTS)
async def test_hostile_cursors(console: Console, tenant: Tenant, path: str) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    name = {"/tenant/users": "tenant_users", "/billing/invoices": "invoices", "/support/tickets": "tickets"}
    filters: dict[str, Any] = {
        "/users": {"role": None, "status": None},
        "/memberships": {},
        "/tenant/users": {},
        "/billing/invoices": {},
    }
    of = tenant.owner if path == "/memberships" else tenant.tenant_id
    identity = orjson.dumps([name.get(path, path[1:]), of, filters.get(path, {"status": None})])
    fingerprint = hashlib.sha256(identity).hexdigest()[:16]
    right = base64.urlsafe_b64encode(orjson.dumps([fingerprint, "2026-01-01T00:00:00+00:00", "a"])).decode()
    answer = await console.client.get(path, params={"cursor": right}, headers=headers)
    assert answer.status_code == 200, "the fingerprint is not this list's: this test tests nothing"
    for cursor in hostile_cursors(fingerprint):
        answer = await console.client.get(path, params={"cursor": cursor}, headers=headers)
        assert answer.status_code == 400, cursor
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == ["?cursor"]
    combined = await console.client.get(path, params={"cursor": right, "offset": "1"}, headers=headers)
    assert combined.status_code == 400


@settings(max_examples=60)
@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "offset", "cursor", "role", "status", "search", "x"]),
        st.text(CHARACTERS, max_size=30) | st.integers().map(str),
    )
)
async def test_any_query(console: Console, query: dict[str, str]) -> None:
    headers = await console.fuzzed()
    for path in LISTS:
        assert_refused_or_done(await console.client.get(path, params=query, headers=headers))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/projects/{id}", None),
        ("GET", "/users/{id}", None),
        ("PUT", "/users/{id}/role", {"role": "viewer"}),
        ("DELETE", "/users/{id}", None),
        ("POST", "/invitations/{id}/accept", {"token": "ten_1.secret"}),
        ("POST", "/invitations/{id}/resend", None),
        ("DELETE", "/invitations/{id}", None),
    ],
)
async def test_hostile_ids(console: Console, tenant: Tenant, method: str, path: str, body: Any) -> None:
    headers = console.as_(tenant.owner, tenant.tenant_id)
    for id_ in IDS:
        answer = await console.client.request(method, path.format(id=id_), json=body, headers=headers)
        assert answer.status_code in {404, 405}, (id_, answer.text)
        instance = problem_of(answer)["instance"]
        assert instance.isascii()
        assert instance.isprintable()


@settings(max_examples=60)
@given(id_=st.text(CHARACTERS, min_size=1, max_size=300))
async def test_any_id(console: Console, id_: str) -> None:
    headers = await console.fuzzed()
    for path in ("/users/", "/projects/"):
        answer = await console.client.get(path + quote(id_, safe=""), headers=headers)
        assert_refused_or_done(answer)


@pytest.mark.parametrize(
    "name",
    [
        "Idempotency-Key",
        "If-Match",
        "X-Request-Id",
        "Content-Type",
        "Authorization",
        "Accept",
    ],
)
async def test_hostile_headers(console: Console, tenant: Tenant, name: str) -> None:
    own = console.as_(tenant.owner, tenant.tenant_id) | JSON
    own.pop(name, None)
    for value in (
        b"",
        b" ",
        b"\x00",
        b"\xff",
        b"\x1b[31m",
        b"x" * 300,
        b"x" * 20_000,
        b'"',
        b"*",
        b"\t",
        b"1e5",
    ):
        headers = raw(own, name, value)
        email = json.dumps({"email": new_email()})
        assert_refused_or_done(await console.client.post("/users/invite", content=email, headers=headers))
        assert_refused_or_done(await console.client.put("/profile", content="{}", headers=headers))


async def test_a_query_of_raw_bytes(console: Console, tenant: Tenant) -> None:
    """Some servers hand the query on as it came, bytes that are no UTF-8 included."""
    sent: list[dict[str, Any]] = []
    headers = [
        (name.lower().encode(), value.encode())
        for name, value in console.as_(tenant.owner, tenant.tenant_id).items()
    ]
    for path in ("/users", "/users/nobody", "/nothing"):
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": b"limit=1&x=\xff\xfe", "headers": headers, "http_version": "1.1",
            "scheme": "http",            "server": ("console.test", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await console.accounts.app(scope, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [200, 404, 404]
