"""How long a page of a large tenant's audit trail takes: for each filter, from three points of time."""

import argparse
import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import asyncpg
from embedded import embedded_postgres

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import open_database, postgres_engines
from hoc.migrations import migrate

EVENTS: Final = 4_000_000
TENANT: Final = "large"
OWNER: Final = "owner"
NOW: Final = datetime.now(UTC)
# Two years of events. One in 100,000 has the rare type, and another the rare actor. A common actor has half.
PARTITIONS: Final = """
    DO $$ BEGIN FOR age IN 1..24 LOOP
      EXECUTE format('CREATE TABLE account.%I PARTITION OF account.events FOR VALUES FROM (%L) TO (%L)',
        'events_' || age, date_trunc('month', now()) - age * interval '1 month',
        date_trunc('month', now()) - (age - 1) * interval '1 month');
    END LOOP; END $$"""
FILL: Final = """
    INSERT INTO account.events (sequence, position, event_id, type, time, tenant_id, user_id, actor, payload)
    SELECT n, n, gen_random_uuid(),
      CASE WHEN n % 100000 = 8 THEN 'member.removed' WHEN n % 3 = 0 THEN 'member.joined'
        ELSE 'member.role_changed' END,
      $2::timestamptz - ($1::int - n) * interval '15 seconds', 'large', 'usr_' || n % 5000,
      CASE WHEN n % 100000 = 9 THEN 'seldom' WHEN n % 2 = 0 THEN 'often' ELSE 'usr_' || n % 5000 END, '{}'
    FROM generate_series(1, $1::int) AS n"""
TENANT_ROW: Final = """
    WITH owner AS (INSERT INTO account.users (user_id, email, email_key) VALUES ('owner', 'a@b.c', 'a@b.c')),
    tenant AS (INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('large', 'Large', 'large'))
    INSERT INTO account.memberships (tenant_id, user_id, role, searched)
    VALUES ('large', 'owner', 'owner', '')"""
FILTERS: Final[dict[str, dict[str, Any]]] = {
    "no filter": {},
    "a common type": {"type": "member.joined"},
    "a rare type": {"type": "member.removed"},
    "a common actor": {"actor": "often"},
    "a rare actor": {"actor": "seldom"},
    "a common actor, a rare type": {"actor": "often", "type": "member.removed"},
    "a rare actor, a common type": {"actor": "seldom", "type": "member.joined"},
}


async def fill(url: str, events: int) -> None:
    await migrate(url)
    connection = await asyncpg.connect(url)
    await connection.execute(PARTITIONS)
    await connection.execute(TENANT_ROW)
    await connection.execute(FILL, events, NOW)
    await connection.execute("VACUUM ANALYZE account.events")
    await connection.close()


async def measure(url: str, events: int, rounds: int) -> None:
    database = open_database(url)
    audit = postgres_engines(Options()).audit
    ages = {"newest": 0, "middle": events // 2, "oldest": events - events // 100}
    print(f"{events:,} events; p50 of {rounds}, in ms")
    print(f"{'':30}" + "".join(f"{name:>10}" for name in ages))
    for name, asked in FILTERS.items():
        print(f"{name:30}", end="")
        for age in ages.values():
            until = NOW - timedelta(seconds=15 * age) + timedelta(seconds=1)
            times: list[float] = []
            for _ in range(rounds):
                begun = time.perf_counter()
                async with database.reading() as session:
                    await audit.list(session, TENANT, OWNER, until=until, **asked)
                times.append(1_000 * (time.perf_counter() - begun))
            print(f"{median(times):10.2f}", end="", flush=True)
        print()
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with embedded_postgres() as url:
        asyncio.run(fill(url, options.events))
        asyncio.run(measure(url, options.events, options.rounds))


if __name__ == "__main__":
    main()
