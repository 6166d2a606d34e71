"""Pages about the interfaces: complete, from this server alone, and only where they are wanted."""

import re
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from support.console import HOST, IDENTITY_MOUNT, MOUNT, OPTIONAL_PARTS
from support.routes import SERVICES
from support.waiting import until_available

from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.server.app import Service
from hoc.settings import Settings

PAGES = [f"{MOUNT}/docs", f"{IDENTITY_MOUNT}/docs", f"{IDENTITY_MOUNT}/asyncapi/docs"]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@asynccontextmanager
async def serving(url: str, directory: Path, **settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
    given: dict[str, Any] = {
        "development": True,
        "invitation_links": True,
        **OPTIONAL_PARTS,
        **settings,
    }
    service = Service(Settings(database_url=SecretStr(url), data_dir=directory, **given))
    async with (
        service.router.lifespan_context(service.router),
        httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url=HOST) as client,
    ):
        yield client


@pytest.fixture(scope="module")
async def client(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    async with serving(database_url, tmp_path_factory.mktemp("pages")) as client:
        yield client


class Page(HTMLParser):
    """What a page has: its tags, the ids in it, and where it leads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(given)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links |= {given["href"] or ""} if "href" in given else set()


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
async def test_a_page_needs_nothing_but_itself(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=BROWSER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe", "form", "object", "base"}
    assert not page.attributes & {"src", "style", "onclick", "onload"}
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            await until_available(client, str(httpx.URL(HOST + path).join(link)))
    assert len(set(page.ids)) == len(page.ids)


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
async def test_the_policy_allows_the_pages_style_alone(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=BROWSER)
    [style] = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("mount", SERVICES)
async def test_a_page_has_every_operation(client: httpx.AsyncClient, mount: str) -> None:
    html = (await client.get(f"{mount}/docs")).text
    ids = Page(html).ids
    for operation in SERVICES[mount]:
        assert operation.name in ids
        assert f"<b>{operation.method}</b> <code>{mount}{operation.path}</code>" in html


async def test_a_page_has_every_event(client: httpx.AsyncClient) -> None:
    html = (await client.get(PAGES[2])).text
    assert all(f"<code>{event}</code>" in html for event in EVENTS)


async def test_the_front_tells_programs_where_things_are(client: httpx.AsyncClient) -> None:
    for accept in ("*/*", "application/json"):
        answer = await client.get("/", headers={"Accept": accept})
        assert answer.json()["name"] == "hoc"
        assert answer.headers["vary"] == "Accept"
        for path in answer.json()["paths"].values():
            await until_available(client, path)


@pytest.mark.parametrize("path", [MOUNT, f"{MOUNT}/"])
async def test_the_root_of_the_json_routes_leads_to_the_front(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "application/json"}, follow_redirects=True)
    assert (answer.status_code, answer.url.path, answer.json()["name"]) == (200, "/", "hoc")
    assert (await client.get(path, headers=BROWSER)).headers["location"] == "/"
    assert (await client.get(f"{MOUNT}/nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"development": False}, False),
        ({"development": False, "docs": True}, True),
        ({"development": True, "docs": False}, False),
    ],
)
async def test_pages_are_shown_where_they_are_wanted(
    database_url: str, tmp_path: Path, settings: dict[str, bool], shown: bool
) -> None:
    async with serving(database_url, tmp_path, **settings) as client:
        for path in ("/docs", *PAGES):
            answer = await client.get(path, headers=BROWSER)
            assert answer.status_code == (200 if shown else 404)
            assert shown or "not_found" in answer.text or "no such page" in answer.text
        assert (await client.get(f"{MOUNT}/openapi.json")).status_code == 200
