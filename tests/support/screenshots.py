"""``python -m support.screenshots DIRECTORY``: pictures of the pages, from a demo tenant in a browser."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import async_playwright
from support.browsing import NARROW, WIDE, Site, Visits
from support.chromium import chromium
from support.command_line import hoc
from support.postgres import TestServerOwner
from support.servers import server_process

MAX_BYTES: Final = 150_000

Scheme = Literal["light", "dark"]
PICTURES: Final[list[tuple[str, str, str, Scheme, tuple[int, int]]]] = [
    ("members", "owner", "{tenant}/members", "light", WIDE),
    ("members-dark", "owner", "{tenant}/members", "dark", WIDE),
    ("invitations", "owner", "{tenant}/invitations", "light", WIDE),
    ("project", "owner", "{tenant}/project", "light", WIDE),
    ("billing-dark", "owner", "{tenant}/billing", "dark", WIDE),
    ("audit", "owner", "{tenant}/audit", "light", WIDE),
    ("members-narrow", "owner", "{tenant}/members", "light", NARROW),
    ("support-narrow-dark", "owner", "{tenant}/tickets", "dark", NARROW),
]


async def take(site: Site, directory: Path) -> None:
    """Write the pictures. AssertionError if one is too large."""
    found = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.program, env=found.environment, args=["--no-sandbox", "--headless"]
        )
        visits = Visits(browser, site)
        for name, role, pattern, scheme, size in PICTURES:
            page = await visits.as_role(role, pattern, size=size)
            await page.emulate_media(color_scheme=scheme)
            picture = await page.screenshot(path=directory / f"{name}.png")
            assert len(picture) < MAX_BYTES, f"{name}.png has {len(picture)} bytes"
        await browser.close()


async def main(directory: Path) -> None:
    owner = TestServerOwner()
    try:
        async with owner.server().new_database() as url:
            with tempfile.TemporaryDirectory() as data, server_process(url, Path(data)) as server:
                done = hoc("demo", "--json", "--data-dir", data, HOC_DATABASE_URL=url)
                assert done.returncode == 0, done.stderr
                await take(Site(server.url, Path(data), json.loads(done.stdout)), directory)
    finally:
        owner.stop()


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    chosen.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(chosen))
