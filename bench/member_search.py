"""How long a search among a tenant's members takes: in a small and in a large tenant, for kinds of terms."""

import argparse
import asyncio
import time
from functools import partial
from statistics import median
from typing import Any, Final

import asyncpg
from embedded import embedded_postgres

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import open_database, postgres_engines
from hoc.database import Database
from hoc.migrations import migrate

SMALL: Final = 2_000
LARGE: Final = 200_000
TERMS: Final = {
    "one address": "person777@small.example",
    "a rare name": "ada 777 ",
    "nobody": "zzzznobody",
    "every member": "person",
    "one member in a hundred": "grace",
    "one member in ten": "0 smith",
    "one member in ten, who joined last": "eve",
    "common elsewhere, nobody here": "@elsewhere",
    "two characters, many members": "sm",
    "two characters, nobody": "zz",
}
# 1 % are called Grace, and those 10 % who joined last Eve. As many members again are in another tenant.
FILL: Final = """
    WITH people AS (
      SELECT n, tenant, 'usr_' || tenant || n AS id, 'person' || n || '@' || tenant || '.example' AS email,
        CASE WHEN n % 100 = 0 THEN 'Grace ' WHEN n % 10 = 5 THEN 'Eve ' ELSE 'Ada ' END || n || ' Smith'
          AS name,
        now() - interval '1 day' * CASE WHEN n % 10 = 5 THEN 1 ELSE 2 + random() * 365 END AS joined_at
      FROM (VALUES ('small', $1::int), ('large', $2::int), ('elsewhere', $3::int)) AS sizes(tenant, size),
        generate_series(1, size) AS n
    ), tenants AS (
      INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('small', 's', 's'), ('large', 'l', 'l'),
        ('elsewhere', 'e', 'e')
    ), accounts AS (
      INSERT INTO account.users (user_id, email, email_key, name, name_key)
      SELECT id, email, email, name, lower(name) FROM people
    )
    INSERT INTO account.memberships (tenant_id, user_id, role, joined_at, searched)
    SELECT tenant, id, 'member', joined_at, ' ' || email || E'\n ' || lower(name)
    FROM people"""


async def measure(url: str, rounds: int) -> None:
    await migrate(url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        FILL.replace("$1", str(SMALL)).replace("$2", str(LARGE)).replace("$3", str(LARGE + SMALL))
    )
    await connection.execute("VACUUM ANALYZE account.users, account.memberships, account.tenants")
    await connection.close()
    database = open_database(url)
    members = postgres_engines(Options()).members
    print(f"{'term':32} {SMALL:>10,} members {LARGE:>10,} members")
    for name, term in TERMS.items():
        taken: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(rounds):
            for tenant, times in taken.items():
                begun = time.perf_counter()
                async with database.reading() as session:
                    await members.list_users(session, tenant, search=term.replace("@small", f"@{tenant}"))
                times.append((time.perf_counter() - begun) * 1_000)
        small, large = median(taken["small"]), median(taken["large"])
        print(f"{name:32} {small:12.1f} ms    {large:12.1f} ms   {large / small:5.1f} times")
    for what, field in (("a new name", "display_name"), ("another locale", "locale")):
        taken = await change(database, field, rounds * 20)
        print(f"{what} of a member of the large tenant: {taken:.2f} ms")
    await database.close()


async def change(database: Database, field: str, times: int) -> float:
    """The median time, in milliseconds, to give members another value of a field of their profile."""
    profiles, taken = postgres_engines(Options()).profiles, list[float]()
    for n in range(times):
        patch: dict[str, Any] = {field: f"Ada Renamed {n}" if field == "display_name" else "de"}
        begun = time.perf_counter()
        await database.write(partial(profiles.update, user_id=f"usr_large{n + 1}", **patch))
        taken.append((time.perf_counter() - begun) * 1_000)
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with embedded_postgres() as url:
        asyncio.run(measure(url, rounds))


if __name__ == "__main__":
    main()
