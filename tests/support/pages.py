"""The console's pages in process, on real PostgreSQL, and a browser without scripts to open them."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.routing import Mount, Router
from support.console import HOST, anywhere
from support.pgbouncer import through
from support.postgres import POOLER
from support.world import PostgresWorld, RealClock

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.settings import Settings

MOUNT = "/console"
HTML = {"accept": "text/html", "sec-fetch-site": "same-origin"}
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def version_in(html: str) -> str:
    """The version that a page's form sends."""
    found = re.search(r'name="version" value="([0-9]+)"', html)
    assert found is not None
    return found[1]


class Pages(PostgresWorld):
    """The pages of one `Accounts`, for callers with signed tokens."""

    def __init__(self, served: Accounts, keys: DevelopmentKeys) -> None:
        super().__init__(served.database, RealClock())
        self.served = served
        self._keys = keys
        self.app = Router([Mount(MOUNT, served.pages_app)])

    def browser(self, user_id: str | None = None, *scopes: str) -> "Browser":
        """A browser of this person, or of nobody."""
        headers = dict(HTML)
        if user_id is not None:
            headers["authorization"] = f"Bearer {self._keys.issue(user_id, None, scopes=scopes)}"
        return Browser(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=HOST, headers=headers)
        )


class Browser:
    """Opens pages, keeps cookies, and sends forms with the token of the page that was opened last."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.token = ""

    async def open(self, path: str) -> httpx.Response:
        return self._seen(await self.client.get(MOUNT + path, follow_redirects=True))

    async def send(
        self, path: str, fields: Mapping[str, str | Sequence[str]] | None = None, **others: Any
    ) -> httpx.Response:
        form = {"csrf_token": self.token, **(fields or {})}
        return self._seen(await self.client.post(MOUNT + path, data=form, follow_redirects=True, **others))

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        found = _TOKEN.search(answer.text)
        self.token = unescape(found[1]) if found else self.token
        return answer


@asynccontextmanager
async def serving_pages(url: str, directory: Path, **settings: Any) -> AsyncGenerator[Pages]:
    keys = DevelopmentKeys(directory / "development-key.pem")
    given: dict[str, Any] = {"console_secret": SecretStr("a secret of the tests, long enough")} | settings
    served = Accounts(
        Settings(database_url=SecretStr(through(url)), pooler=POOLER, data_dir=directory, **given),
        pages_authentication=anywhere(keys),
    )
    try:
        yield Pages(served, keys)
    finally:
        await served.database.close()
