"""Hostile input to the identity service: a refusal in the declared shape, never a failure of the server."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.console import Console, new_email, problem_of
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

ADMIN = "accounts:admin"
MAX_BODY_BYTES = 65_536

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/accounts/ensure"): {"user_id": "usr_hostile", "email": "hostile@example.com", "name": "Ada"},
    ("PUT", "/accounts/profile/{id}"): {"name": "Ada", "email": None},
    ("PUT", "/accounts/preferences/{id}"): {"theme": "dark"},
    ("PUT", "/accounts/status/{id}"): {"is_active": True, "reason": None},
}


async def ensured(console: Console) -> str:
    email = new_email()
    account = {"user_id": email, "email": email, "name": "Ada"}
    answer = await console.identity.post("/accounts/ensure", json=account, headers=console.scoped(ADMIN))
    assert answer.status_code == 201
    return email


async def sent(
    console: Console, method: str, path: str, content: bytes | AsyncIterator[bytes], **headers: str
) -> httpx.Response:
    given_headers = console.scoped(ADMIN) | JSON | headers
    return await console.identity.request(method, path, content=content, headers=given_headers)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
async def test_hand_made_bodies(console: Console, method: str, path: str) -> None:
    path = path.format(id=await ensured(console))
    for content in HOSTILE_BYTES:
        answer = await sent(console, method, path, content)
        assert answer.status_code == 400, content[:100]
        problem_of(answer)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
async def test_hostile_values_in_every_field(console: Console, method: str, path: str) -> None:
    account, body = await ensured(console), BODIES[method, path]
    for field in body:
        for value in [*HOSTILE_TEXT, *HOSTILE_VALUES]:
            fresh = {"email": new_email()} if path.endswith("/ensure") else {}
            content = json.dumps(body | fresh | {field: value}, ensure_ascii=False).encode()
            answer = await sent(console, method, path.format(id=account), content)
            assert_refused_or_done(answer)
            if answer.status_code == 400:
                pointers = [error["pointer"] for error in problem_of(answer)["errors"]]
                assert pointers
                # Preferences are one value: the whole body.
                if "preferences" in path:
                    assert pointers == [""], (field, value)
                else:
                    assert all(pointer.startswith(f"/{field}") for pointer in pointers), (
                        field,
                        value,
                        pointers,
                    )


@pytest.mark.parametrize(("method", "path"), [of for of in BODIES if "preferences" not in of[1]], ids=str)
async def test_fields_that_are_not_the_callers_to_set(console: Console, method: str, path: str) -> None:
    account, body = await ensured(console), BODIES[method, path]
    for field in ("role", "tenant_id", "email_verified", "deleted_at", "created_at", "version", "x"):
        content = json.dumps(body | {field: "owner"}).encode()
        answer = await sent(console, method, path.format(id=account), content)
        assert answer.status_code == 400
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"/{field}"]


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
@settings(max_examples=25)
@given(data=st.data())
async def test_any_json(console: Console, data: st.DataObject, method: str, path: str) -> None:
    fields = {name: st.just(value) | JSON_VALUES for name, value in BODIES[method, path].items()}
    body = data.draw(st.fixed_dictionaries({}, optional=fields) | JSON_VALUES)
    assert_refused_or_done(await sent(console, method, path.format(id="usr_hostile"), orjson.dumps(body)))


@pytest.mark.parametrize(("method", "path"), BODIES, ids=str)
async def test_bodies_that_are_too_large_or_no_json(console: Console, method: str, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 8_192

    path = path.format(id=await ensured(console))
    for content in (b" " * (MAX_BODY_BYTES + 1), endless()):
        answer = await sent(console, method, path, content)
        assert (answer.status_code, problem_of(answer)["code"]) == (413, "body_too_large")
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"):
        answer = await sent(console, method, path, b"{}", **{"Content-Type": media_type})
        assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("path", "name", "out_of_bounds"),
    [
        ("/accounts", "page", ["0", "202"]),
        ("/accounts", "page_size", ["0", "101"]),
        ("/accounts/search?query=a", "limit", ["0", "101"]),
    ],
)
async def test_hostile_paging(console: Console, path: str, name: str, out_of_bounds: list[str]) -> None:
    for value in [*HOSTILE_NUMBERS, *out_of_bounds]:
        url = httpx.URL(path).copy_add_param(name, value)
        answer = await console.identity.get(url, headers=console.scoped(ADMIN))
        assert answer.status_code == 400, value
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"?{name}"]


@pytest.mark.parametrize(
    ("path", "name"),
    [("/accounts", "is_active"), ("/accounts/search?query=a", "include_inactive")],
)
async def test_unknown_filters_are_refused(console: Console, path: str, name: str) -> None:
    for value in ["", "1", "TRUE", "true ", "null", "\x00", "x" * 10_000]:
        url = httpx.URL(path).copy_add_param(name, value)
        answer = await console.identity.get(url, headers=console.scoped(ADMIN))
        assert answer.status_code == 400, value
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"?{name}"]


async def test_hostile_cursors(console: Console) -> None:
    parts: list[Any] = [None, [], {}, ["0" * 16, "2026-01-01T00:00:00+00:00", "a"], [1, 2, 3]]
    encoded = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=").decode() for each in parts]
    deep = base64.urlsafe_b64encode(b"[" * 700).decode()
    for cursor in [*encoded, deep, "", "A", "é", "\x00", "====", "x" * 2_000, "%00"]:
        answer = await console.identity.get(
            "/accounts", params={"cursor": cursor}, headers=console.scoped(ADMIN)
        )
        assert answer.status_code == 400, cursor
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == ["?cursor"]


@pytest.mark.parametrize(("path", "name"), [("/accounts", "search"), ("/accounts/search", "query")])
async def test_hostile_terms(console: Console, path: str, name: str) -> None:
    fitting = [term for term in HOSTILE_TEXT if len(term) <= 10_000]  # in a URL
    for term in [*fitting, "%" * 255, "_" * 255, "\\" * 255, "a" * 255, "a" * 256, "{}", ":a", "$1"]:
        answer = await console.identity.get(path, params={name: term}, headers=console.scoped(ADMIN))
        assert_refused_or_done(answer)
        if answer.is_error:
            assert [error["pointer"] for error in problem_of(answer)["errors"]] == [f"?{name}"]
        elif name == "query":
            folded = term.strip().lower()
            shown = [f"{found['name']} {found['email']}".lower() for found in answer.json()]
            assert all(folded in each for each in shown if folded.isascii()), "wildcards are literal"


@settings(max_examples=60)
@given(
    query=st.dictionaries(
        st.sampled_from(
            ["page", "page_size", "is_active", "search", "cursor", "query", "limit", "include_inactive", "x"]
        ),
        st.text(CHARACTERS, max_size=30) | st.integers().map(str),
    )
)
async def test_any_query(console: Console, query: dict[str, str]) -> None:
    for path in ("/accounts", "/accounts/search"):
        answer = await console.identity.get(path, params=query, headers=console.scoped(ADMIN))
        assert_refused_or_done(answer)


@pytest.mark.parametrize("reason", ["", " ", "\x00", "a\r\nb", "\x1b[31m", "x" * 501, "x" * 10_000])
async def test_hostile_reasons(console: Console, reason: str) -> None:
    path = f"/accounts/profile/{await ensured(console)}"
    answer = await console.identity.delete(path, params={"reason": reason}, headers=console.scoped(ADMIN))
    assert answer.status_code == 400
    problem_of(answer)
    assert (await console.identity.get(path, headers=console.scoped(ADMIN))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/accounts/profile/{id}", None),
        ("PUT", "/accounts/profile/{id}", {"name": "Ada"}),
        ("DELETE", "/accounts/profile/{id}", None),
        ("PUT", "/accounts/preferences/{id}", {}),
        ("PUT", "/accounts/status/{id}", {"is_active": True}),
        ("GET", "/accounts/by-email/{id}", None),
    ],
)
async def test_hostile_ids(console: Console, method: str, path: str, body: Any) -> None:
    expected = {400, 404} if "by-email" in path else {404, 405}
    for id_ in IDS:
        answer = await console.identity.request(
            method, path.format(id=id_), json=body, headers=console.scoped(ADMIN)
        )
        if answer.is_success:  # another test has made an account of this name
            assert unquote(id_) in HOSTILE_TEXT, id_
            continue
        assert answer.status_code in expected, (id_, answer.text)
        instance = problem_of(answer)["instance"]
        assert instance.isascii()
        assert instance.isprintable()


@settings(max_examples=60)
@given(name=st.text(CHARACTERS, min_size=1, max_size=300))
async def test_any_id(console: Console, name: str) -> None:
    for path in ("/accounts/profile/", "/accounts/by-email/"):
        answer = await console.identity.get(path + quote(name, safe=""), headers=console.scoped(ADMIN))
        assert_refused_or_done(answer)


@settings(max_examples=40)
@given(email=st.text(CHARACTERS, max_size=40) | st.emails(), name=st.text(CHARACTERS, max_size=40))
async def test_what_is_acknowledged_is_stored(console: Console, email: str, name: str) -> None:
    headers, user_id = console.scoped(ADMIN), new_email()
    body = {"user_id": user_id, "email": email, "name": name}
    answer = await console.identity.post(
        "/accounts/ensure", content=orjson.dumps(body), headers=headers | JSON
    )
    assert_refused_or_done(answer)
    if answer.is_success:
        account = answer.json()
        assert (account["email"], account["name"]) == (email.strip(), name.strip())
        stored = await console.identity.get(f"/accounts/profile/{user_id}", headers=headers)
        assert stored.json() == account
        await console.identity.delete(f"/accounts/profile/{user_id}", headers=headers)
