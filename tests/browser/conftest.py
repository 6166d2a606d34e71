"""One browser and one development server for all tests of a worker."""

import json
from collections.abc import AsyncGenerator, Generator

import pytest
from playwright.async_api import Browser, async_playwright
from support.browsing import Site, Visits
from support.chromium import Chromium, chromium
from support.command_line import hoc
from support.postgres import TestServer, opened
from support.servers import server_process
from support.world import PostgresWorld, RealClock

from hoc.database import Database


@pytest.fixture(scope="session")
def the_chromium() -> Chromium:
    return chromium()


@pytest.fixture(scope="session")
async def browser(the_chromium: Chromium) -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=the_chromium.program,
            env=the_chromium.environment,
            args=["--no-sandbox", "--headless"],
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def site_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A database that no other test uses: the server sends the mails in it, and so voids tokens."""
    async with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="session")
async def site_database(site_url: str) -> AsyncGenerator[Database]:
    async with opened(site_url) as database:
        yield database


@pytest.fixture(scope="session")
def site(site_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    directory = tmp_path_factory.mktemp("site")
    webhooks = {"webhooks": "true", "webhook_allowed_networks": "127.0.0.0/8"}
    with server_process(site_url, directory, **webhooks) as server:
        done = hoc("demo", "--json", "--data-dir", directory, HOC_DATABASE_URL=site_url)
        assert done.returncode == 0, done.stderr
        yield Site(server.url, directory, json.loads(done.stdout))


@pytest.fixture
async def visits(browser: Browser, site: Site) -> AsyncGenerator[Visits]:
    visits = Visits(browser, site)
    yield visits
    await visits.close()
    assert visits.errors == [], "a script failed, or the policy forbade something"


@pytest.fixture
def world(site_database: Database) -> PostgresWorld:
    """The database of the site, to make a team that no other test changes."""
    return PostgresWorld(site_database, RealClock())
