"""What metering inside the work's own transaction costs, when many work for one tenant at the same time.

Each transaction works for 50 ms in the database. It is compared with the same without metering, and with a
counter in one row, which every transaction of the tenant locks.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final, TypeAlias

from embedded import embedded_postgres
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import create_account_service, open_database, postgres_engines
from hoc.database import Database
from hoc.migrations import migrate

AT_ONCE: Final = 32
EACH: Final = 10
WORK: Final = text("SELECT pg_sleep(0.05)")
ONE_ROW: Final = text("UPDATE one_row SET runs = runs + 1")
QUOTAS: Final = {"max_runs_per_day": 2**31 - 1, "max_tokens_per_month": 2**31 - 1, "max_concurrent_runs": 100}

Metered: TypeAlias = Callable[[AsyncConnection], Awaitable[object]]


async def tenant_of(database: Database, engines: Engines) -> str:
    await create_account_service(database).ensure_account(
        AccountEnsureRequest("owner", "owner@example.com", "Ada")
    )
    async with database.transaction() as session:
        project = await engines.projects.create(session, "owner", name="Metered")
        tenant_id = project.value.project_id
        await engines.projects.override_quotas(session, tenant_id, **QUOTAS)
        await session.execute(text("CREATE TABLE one_row AS SELECT 0 AS runs"))
    return tenant_id


async def rate(database: Database, metered: Metered) -> float:
    """Transactions a second, ``AT_ONCE`` of which run at the same time."""

    async def work() -> None:
        for _ in range(EACH):
            async with database.transaction() as session:
                await metered(session)
                await session.execute(WORK)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return AT_ONCE * EACH / (time.perf_counter() - begun)


async def compare(url: str, rounds: int) -> None:
    await migrate(url)
    database, engines = open_database(url, pool_size=AT_ONCE, statement_timeout_ms=60_000), None
    engines = postgres_engines(Options())
    tenant_id = await tenant_of(database, engines)

    async def nothing(_session: AsyncConnection) -> None: ...

    async def usage(session: AsyncConnection) -> None:
        await engines.usage.record(session, tenant_id, runs=1, tokens=1_500)

    async def one_row(session: AsyncConnection) -> None:
        await session.execute(ONE_ROW)

    sides: dict[str, Metered] = {
        "without metering": nothing,
        "usage.record": usage,
        "a counter in one row": one_row,
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, metered in sides.items():
            if name.endswith("row") and number > 1:
                continue  # it takes as long as all the other rounds together
            reached = await rate(database, metered)
            if number:  # the first round warms up
                rates[name].append(reached)
    await database.close()
    base = median(rates["without metering"])
    print(f"transactions of 50 ms for one tenant, {AT_ONCE} at once, median of {rounds} rounds")
    for name, reached_by in rates.items():
        print(f"{name:24} {median(reached_by):6.0f} a second   {median(reached_by) / base:5.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with embedded_postgres() as url:
        asyncio.run(compare(url, rounds))


if __name__ == "__main__":
    main()
