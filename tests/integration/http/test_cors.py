"""Pages of other origins call hoc only where the settings name their origins."""

from collections.abc import AsyncGenerator

import httpx
import pytest
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, ConsoleOn, Headers

from hoc.cus.account.L2_api.cors import cors_origins

PAGE, COOKIE_PAGE, FOREIGN = "https://app.example.com", "https://www.example.com", "https://evil.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization, content-type, if-match, idempotency-key, x-hoc-request",
}


@pytest.fixture(scope="module")
async def open_console(console_on: ConsoleOn, database_url: str) -> AsyncGenerator[Console]:
    async with console_on(database_url, cors_origins=f"{PAGE}, {COOKIE_PAGE}") as console:
        yield console


@pytest.fixture
async def owner(open_console: Console) -> Headers:
    tenant_id, owner = await open_console.tenant()
    return open_console.as_(owner, tenant_id)


async def preflight(console: Console, path: str, origin: str) -> httpx.Response:
    return await console.client.options(HOST + path, headers=PREFLIGHT | {"Origin": origin})


async def test_by_default_no_page_is_let_in(console: Console, headers: Headers) -> None:
    asked = await preflight(console, f"{MOUNT}/profile", PAGE)
    read = await console.client.get("/profile", headers=headers | {"Origin": PAGE})
    for answer in (asked, read):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", [f"{MOUNT}/profile", f"{IDENTITY_MOUNT}/accounts/stats"])
async def test_a_preflight_of_a_listed_page_is_answered(open_console: Console, path: str) -> None:
    answer = await preflight(open_console, path, PAGE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers
    refused = await preflight(open_console, path, FOREIGN)
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (400, False)


async def test_a_listed_page_reads_answers_and_refusals(open_console: Console, owner: Headers) -> None:
    for headers, status in ((owner, 200), ({}, 401)):
        answer = await open_console.client.get("/profile", headers=headers | {"Origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
    foreign = await open_console.client.get("/profile", headers=owner | {"Origin": FOREIGN})
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_listed_page_makes_a_change(open_console: Console, owner: Headers) -> None:
    given = owner | {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    changed = await open_console.client.put("/profile", json={"display_name": "Ada"}, headers=given)
    assert (changed.status_code, changed.headers["access-control-allow-origin"]) == (200, PAGE)


@pytest.mark.parametrize(
    ("listed", "trusted", "with_cookies"),
    [
        (COOKIE_PAGE, COOKIE_PAGE, True),
        (f"{PAGE} {COOKIE_PAGE}", COOKIE_PAGE, False),
        ("*", COOKIE_PAGE, False),
    ],
)
async def test_cookies_are_for_pages_that_are_trusted(
    console_on: ConsoleOn, database_url: str, listed: str, trusted: str, with_cookies: bool
) -> None:
    async with console_on(database_url, cors_origins=listed, trusted_origins=trusted) as console:
        asked = await preflight(console, f"{MOUNT}/profile", COOKIE_PAGE)
        cookie = {"Origin": COOKIE_PAGE, "Cookie": "session=1"}
        for answer in (asked, await console.client.get("/profile", headers=cookie)):
            assert ("access-control-allow-credentials" in answer.headers) == with_cookies
            allowed = answer.headers["access-control-allow-origin"]
            assert allowed in ({COOKIE_PAGE} if with_cookies else {COOKIE_PAGE, "*"})


@pytest.mark.parametrize(
    "listed", ["app.example.com", "https://app.example.com/", "* https://a.example", "null"]
)
def test_what_is_no_origin_is_refused(listed: str) -> None:
    with pytest.raises(ValueError, match="HOC_CORS_ORIGINS"):
        cors_origins(listed)
