"""Every route, and the races, on a real Citus cluster.

HOC_CITUS_URL is its coordinator's, for a role that may create databases on each node.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

TESTS: Final = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from support.citus import is_coordinator, new_database  # noqa: E402 - it is in the tests
from support.console import MOUNT, Console, serving  # noqa: E402 - see above
from support.identities import PRIMARY_ISSUER  # noqa: E402 - see above
from support.routes import ROUTES, Route  # noqa: E402 - see above

# What the nodes of one busy machine may need.
TIMEOUT_MS: Final = 60_000
RACES: Final = (
    "tests/integration/races/test_owners.py",
    "tests/contract/test_leases.py",
    "tests/contract/test_usage.py",
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
        return self.status in {200, 201, 202}

    def __str__(self) -> str:
        return f"{self.status:>6} {self.one:>9} {self.several:>8}  {self.label}"


async def call_routes(url: str) -> list[Called]:
    """Call each route on a new database of the cluster."""
    called: list[Called] = []
    with tempfile.TemporaryDirectory() as directory:
        async with (
            new_database(url) as database,
            serving(
                database, Path(directory), statement_timeout_ms=TIMEOUT_MS, primary_issuer=PRIMARY_ISSUER
            ) as console,
        ):
            counters = await asyncpg.connect(database)
            for route in ROUTES.values():
                called.append(await _call(console, route, counters))
                print(called[-1], flush=True)
            await counters.close()
    return called


async def _call(console: Console, route: Route, counters: asyncpg.Connection) -> Called:
    team = await console.invited_team()
    values = await route.prepare(console, team)
    client = console.client if route.mount == MOUNT else console.identity
    headers = route.allowed(console, team, values)
    [before] = await counters.fetch(COUNTED)
    answer = await client.request(**route.request(values), headers=headers)
    [after] = await counters.fetch(COUNTED)
    one, several = (after[name] - before[name] for name in ("one", "several"))
    return Called(route.label, answer.status_code, one, several)


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
