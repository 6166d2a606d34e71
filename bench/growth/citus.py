"""Every route, a directory's calls, every page, and the races, on a real Citus cluster.

HOC_CITUS_URL is its coordinator's, for a role that may create databases on each node.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx

TESTS: Final = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from support.browsing import SHOWN  # noqa: E402 - it is in the tests
from support.citus import is_coordinator, new_database  # noqa: E402 - see above
from support.console import MOUNT, OPTIONAL_PARTS, Console, serving  # noqa: E402 - see above
from support.identities import PRIMARY_ISSUER  # noqa: E402 - see above
from support.pages import serving_pages  # noqa: E402 - see above
from support.routes import ROUTES, Route  # noqa: E402 - see above
from support.scim_client import scim_client, scim_http, use_every_operation  # noqa: E402 - see above

from hoc.cus.account.L2_api.scopes import ADMINS  # noqa: E402 - see above

# What the nodes of one busy machine may need.
TIMEOUT_MS: Final = 60_000
RACES: Final = (
    "tests/integration/races/test_owners.py",
    "tests/contract/test_leases.py",
    "tests/contract/test_usage.py",
)
PREPARED: Final = (
    ("invitation", "GET /accounts/invitations/{invitation_id}", "invitation_id"),
    ("token", "GET /accounts/scim/tokens/{token_id}", "token_id"),
    ("domain", "GET /accounts/domains/{domain}", "domain"),
    ("webhook", "GET /accounts/webhooks/{endpoint_id}", "endpoint_id"),
    ("ticket", "GET /accounts/support/tickets/{ticket_id}", "ticket_id"),
)
COUNTED: Final = (
    "SELECT query_execution_single_shard AS one, query_execution_multi_shard AS several"
    " FROM citus_stat_counters WHERE name = current_database()"
)


@dataclass(frozen=True, slots=True)
class Called:
    """A route's answer, and how many of its statements' parts went to one shard and to several."""

    label: str
    status: int
    one: int
    several: int

    @property
    def is_success(self) -> bool:
        return self.status in {200, 201, 202, 204}

    def __str__(self) -> str:
        return f"{self.status:>6} {self.one:>9} {self.several:>8}  {self.label}"


class Counted:
    """Counts what each request of a client makes of statements, and prints it."""

    def __init__(self, counters: asyncpg.Connection) -> None:
        self.called: list[Called] = []
        self._counters = counters
        self._before = (0, 0)

    async def call(self, label: str, answer: Awaitable[httpx.Response]) -> None:
        before = await self._read()
        status = (await answer).status_code
        self._note(label, status, before, await self._read())

    def watch(self, client: httpx.AsyncClient) -> None:
        """Count each of the client's requests from now on, which come one after the other."""

        async def begin(_request: httpx.Request) -> None:
            self._before = await self._read()

        async def end(answer: httpx.Response) -> None:
            label = f"{answer.request.method} {answer.request.url.raw_path.decode()}"
            self._note(label, answer.status_code, self._before, await self._read())

        client.event_hooks = {"request": [begin], "response": [end]}

    async def _read(self) -> tuple[int, int]:
        [row] = await self._counters.fetch(COUNTED)
        return row["one"], row["several"]

    def _note(self, label: str, status: int, before: tuple[int, int], after: tuple[int, int]) -> None:
        self.called.append(Called(label, status, after[0] - before[0], after[1] - before[1]))
        print(self.called[-1], flush=True)


async def call_routes(url: str) -> list[Called]:
    """Call each route, a directory's, and the pages on a new database of the cluster."""
    with tempfile.TemporaryDirectory() as directory:
        async with (
            new_database(url) as database,
            serving(
                database, Path(directory), statement_timeout_ms=TIMEOUT_MS, primary_issuer=PRIMARY_ISSUER
            ) as console,
        ):
            counters = await asyncpg.connect(database)
            counted = Counted(counters)
            for route in ROUTES.values():
                await _call(console, route, counted)
            async with scim_http(console) as http:
                client = await scim_client(console, http)
                counted.watch(http)
                await use_every_operation(client)
            await _open_pages(console, database, Path(directory), counted)
            await counters.close()
    return counted.called


async def _call(console: Console, route: Route, counted: Counted) -> None:
    team = await console.invited_team()
    values = await route.prepare(console, team)
    client = console.client if route.mount == MOUNT else console.identity
    headers = route.allowed(console, team, values)
    await counted.call(route.label, client.request(**route.request(values), headers=headers))


async def _open_pages(console: Console, database: str, directory: Path, counted: Counted) -> None:
    """All pages of a tenant and of operators, which its owner opens."""
    team = await console.invited_team()
    values = {"tenant": f"/projects/{team.tenant_id}", "tenant_id": team.tenant_id}
    values |= {"member": team.member, "viewer": team.viewer}
    for name, label, key in PREPARED:
        values[name] = (await ROUTES[label].prepare(console, team))[key]
    async with serving_pages(database, directory, **OPTIONAL_PARTS) as pages:
        owner = pages.browser(team.owner, *ADMINS)
        for who, pattern in SHOWN:
            if who != "nobody":
                path = pattern.replace("inv_0", "{invitation}").replace("sct_0", "{token}").format(**values)
                await counted.call(f"GET {pattern}", owner.open(path))


def run_races(url: str) -> bool:
    """Run the tests of races on databases of the cluster, one after the other."""
    given = {"HOC_TEST_DATABASE_URL": url, "HOC_TEST_STATEMENT_TIMEOUT_MS": str(TIMEOUT_MS)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *RACES]
    ran = subprocess.run(command, cwd=TESTS.parent, env=os.environ | given, check=False)
    return ran.returncode == 0


def main() -> int:
    url = os.environ.pop("HOC_CITUS_URL", None)  # hoc refuses to start on a variable that is no setting
    if not url:
        print("HOC_CITUS_URL is not set: nothing was run on Citus.")
        return 0
    if not asyncio.run(is_coordinator(url)):
        print("The database of HOC_CITUS_URL has no extension citus.")
        return 1
    print("status one shard  several  route")
    called = asyncio.run(call_routes(url))
    failed = [each for each in called if not each.is_success]
    print(f"{len(called) - len(failed)} of {len(called)} routes succeeded on Citus.")
    has_passed = run_races(url)
    print(f"The races on Citus {'passed' if has_passed else 'failed'}.")
    return int(bool(failed) or not has_passed)


if __name__ == "__main__":
    sys.exit(main())
