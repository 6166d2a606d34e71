"""The fixtures of the measurements: one PostgreSQL, its databases, and the callers."""

import asyncio
import itertools
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from filling import CROWD, connected, fill
from load import Request, Requests

from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.embedded import DataDirectory
from hoc.migrations import migrate

ADMIN: Final = "accounts:admin"
COPIED_ACCOUNTS: Final = 100_000
_SAMPLE: Final = """
    SELECT user_id, email, name FROM account.users TABLESAMPLE BERNOULLI ($1) REPEATABLE (1)
    WHERE is_active LIMIT $2"""
_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Options:
    accounts: int
    seconds: float
    rounds: int


class Scene:
    """``place`` is a directory for temporary files. Databases are kept and reused."""

    def __init__(self, place: Path, server_url: str, options: Options) -> None:
        self.place = place
        self.options = options
        self._server_url = server_url
        self._numbers = itertools.count()
        self._ready: set[str] = set()
        self.keys_file = DataDirectory(place).development_key
        self.keys = DevelopmentKeys(self.keys_file)
        self.admin = self.keys.issue("bench", scopes=(ADMIN,))

    def token(self, user_id: str, tenant_id: str | None = None) -> str:
        return self.keys.issue(user_id, tenant_id)

    def requests(self, url: str, of_kind: Sequence[Request]) -> Requests:
        return Requests(url, of_kind, self.place / f"{next(self._numbers)}.requests")

    # Databases

    def accounts(self, count: int) -> str:
        """Return the URL of a database with that many accounts. Callers must not write to it."""
        name = f"accounts_{count}"
        if name not in self._ready:
            if self.fetch(self._server_url, "SELECT FROM pg_database WHERE datname = $1", name):
                asyncio.run(migrate(self._url(name)))  # it may be from an earlier run
            else:
                asyncio.run(self._make(name, count))
            self._ready.add(name)
        return self._url(name)

    @property
    def some_accounts(self) -> str:
        """The URL of the database that most parts read, and that `copies` copies."""
        return self.accounts(min(COPIED_ACCOUNTS, self.options.accounts))

    @contextmanager
    def copies(self, *names: str) -> Generator[Sequence[str]]:
        """Give the URLs of writable copies of `some_accounts`, one for each name."""
        _ = self.some_accounts
        source = f"accounts_{min(COPIED_ACCOUNTS, self.options.accounts)}"
        try:
            for name in names:
                self._drop(name)
                self.execute(self._server_url, f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
            yield [self._url(name) for name in names]
        finally:
            for name in names:
                self._drop(name)

    def sample(self, url: str, count: int) -> list[Mapping[str, Any]]:
        """Return active accounts from all parts of the table."""
        total = self.fetch(url, "SELECT sum(accounts)::bigint AS accounts FROM account.account_totals")
        percent = min(100.0, 150.0 * count / total[0]["accounts"])
        return self.fetch(url, _SAMPLE, percent, count)

    def owner(self, url: str) -> str:
        """Return the id of the crowd's owner."""
        query = "SELECT user_id FROM account.memberships WHERE tenant_id = $1 AND role = 'owner'"
        return str(self.fetch(url, query, CROWD)[0]["user_id"])

    def settle(self, url: str) -> None:
        """Wait until every event is sequenced."""
        while self.fetch(url, "SELECT FROM account.outbox LIMIT 1"):
            time.sleep(0.05)

    def fetch(self, url: str, query: str, *values: object) -> list[Mapping[str, Any]]:
        return asyncio.run(_fetch(url, query, values))

    def execute(self, url: str, statement: str) -> None:
        self.fetch(url, statement)

    async def _make(self, name: str, count: int) -> None:
        unfinished = f"{name}_unfinished"
        async with connected(self._server_url) as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {unfinished}")
            await connection.execute(f"CREATE DATABASE {unfinished}")
            await migrate(self._url(unfinished))
            await fill(self._url(unfinished), count)
            await connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")

    def _drop(self, name: str) -> None:
        for _ in range(_TRIES):
            try:
                self.execute(self._server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            except asyncpg.InsufficientPrivilegeError:
                time.sleep(0.2)  # the superuser's autovacuum is working in it
            else:
                return
        raise TimeoutError(f"Autovacuum does not leave the database {name}.")

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))


async def _fetch(url: str, query: str, values: tuple[object, ...]) -> list[Mapping[str, Any]]:
    async with connected(url) as connection:
        return [dict(row) for row in await connection.fetch(query, *values)]
