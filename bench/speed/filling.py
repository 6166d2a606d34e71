"""Fills databases with many accounts by SQL, in about half a minute per million."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import asyncpg

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L6_drivers.event_sequencing import PUBLISHED, SEQUENCED

Connection: TypeAlias = "asyncpg.Connection[Any]"

CROWD: Final = "crowd"  # the tenant with many members
CROWD_MEMBERS: Final = 10_000
HOSTS: Final = 100  # tenants with one owner each
RARE: Final = "quetzalcoatl"
RARE_MATCHES: Final = 20  # for any number of accounts
COMMON: Final = "gmail"  # two in five
SELDOM: Final = "xochitl"  # one in a thousand

_FIRST_NAMES: Final = (
    *("Ada", "Amir", "Anouk", "Bea", "Chidi", "Dana", "Elif", "Emil", "Fatou", "Goran", "Hana", "Ines"),
    *("Jonas", "Kofi", "Lena", "Liang", "Mara", "Mateo", "Nadia", "Noor", "Oskar", "Priya", "Quentin"),
    *("Rosa", "Samuel", "Sofía", "Tariq", "Uma", "Viktor", "Yuki", "Zoë", "Ørjan"),
)
_SYLLABLES: Final = (
    *("ba", "ber", "cha", "da", "del", "en", "fer", "gar", "ha", "in", "ja", "ka", "kov", "lau", "len"),
    *("ma", "men", "mo", "na", "no", "ok", "pe", "qui", "ra", "ros", "sa", "sen", "ski", "ta", "tor"),
    *("u", "va", "ver", "wa", "wil", "xu", "ya", "zha", "zo"),
)
_DOMAINS: Final = ("gmail.com",) * 40 + ("outlook.com",) * 15 + ("yahoo.com",) * 10 + ("icloud.com",) * 8
_DAYS: Final = 730
_REGISTRATIONS_KEPT: Final = timedelta(days=32)


def _pick(seed: int, size: int) -> str:
    """Return an expression from 0 to below ``size`` that is the same for an account in every run."""
    return f"((hashint8extended(n, {seed}) & 2147483647) % {size})"


def _syllable(seed: int) -> str:
    return f"($4::text[])[1 + {_pick(seed, len(_SYLLABLES))}]"


# created_at is independent of a row's place in the table, which makes reading in its order harder.
_ACCOUNTS: Final = f"""
    INSERT INTO account.users (user_id, email, email_key, name, name_key, is_active, created_at, updated_at)
    SELECT 'usr_' || lpad(to_hex(hashint8extended(n, 0)), 16, '0') || lpad(to_hex(n), 12, '0'),
           address, address,
           ($3::text[])[first] || ' ' || initcap(last), ($5::text[])[first] || ' ' || last,
           {_pick(7, 50)} <> 0, $7::timestamptz - age, $7::timestamptz - age
    FROM generate_series($1::bigint, $2::bigint) AS n,
         LATERAL (SELECT 1 + {_pick(1, len(_FIRST_NAMES))} AS first,
                         CASE WHEN n % greatest($8::bigint / {RARE_MATCHES}, 1) = 0 THEN '{RARE}'
                              WHEN {_pick(9, 1_000)} = 0 THEN '{SELDOM}'
                              ELSE {_syllable(2)} || {_syllable(3)}
                                   || CASE {_pick(4, 3)} WHEN 0 THEN '' ELSE {_syllable(5)} END END AS last,
                         1 + {_pick(6, 100)} AS place,
                         interval '{_DAYS} days' * ({_pick(8, 2**31)} / {2.0**31}) AS age),
         LATERAL (SELECT translate(($5::text[])[first], 'íëø', 'ieo') || '.' || last || n || '@'
                         || coalesce(($6::text[])[place],
                                     {_syllable(10)} || {_syllable(11)} || '.example') AS address)"""

_TOTALS: Final = """
    INSERT INTO account.account_totals (shard, accounts, active)
    SELECT abs(hashtext(user_id)) % 16, count(*), count(*) FILTER (WHERE is_active)
    FROM account.users GROUP BY 1"""
_REGISTRATIONS: Final = """
    INSERT INTO account.account_registrations (hour, shard, accounts)
    SELECT date_trunc('hour', created_at, 'UTC'), abs(hashtext(user_id)) % 16, count(*)
    FROM account.users WHERE created_at >= date_trunc('hour', $1::timestamptz, 'UTC') GROUP BY 1, 2"""

_CROWD: Final = f"""
    WITH tenant AS (
      INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('{CROWD}', 'Crowd', '{CROWD}')
    ), claimed AS (
      INSERT INTO account.tenant_slugs (slug, tenant_id) VALUES ('{CROWD}', '{CROWD}')
    ), chosen AS (
      SELECT user_id, row_number() OVER (ORDER BY user_id) AS number
      FROM account.users WHERE is_active ORDER BY user_id LIMIT $1
    ), joined AS (
      INSERT INTO account.memberships (tenant_id, user_id, role, joined_at)
      SELECT '{CROWD}', user_id, CASE number WHEN 1 THEN 'owner' ELSE 'member' END,
             $2::timestamptz - interval '20 days' + number * interval '1 minute' FROM chosen
      RETURNING role
    )
    INSERT INTO account.member_counts (tenant_id, role, members)
    SELECT '{CROWD}', kind, (SELECT count(*) FROM joined WHERE role = kind)
    FROM unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS kind"""
_HOSTS: Final = f"""
    WITH chosen AS (
      SELECT user_id, 'host-' || row_number() OVER (ORDER BY user_id DESC) AS tenant_id
      FROM account.users WHERE is_active ORDER BY user_id DESC LIMIT {HOSTS}
    ), made AS (
      INSERT INTO account.tenants (tenant_id, name, slug, max_members)
      SELECT tenant_id, tenant_id, tenant_id, 1000000 FROM chosen
    ), claimed AS (
      INSERT INTO account.tenant_slugs (slug, tenant_id) SELECT tenant_id, tenant_id FROM chosen
    ), joined AS (
      INSERT INTO account.memberships (tenant_id, user_id, role)
      SELECT tenant_id, user_id, 'owner' FROM chosen
    )
    INSERT INTO account.member_counts (tenant_id, role, members)
    SELECT tenant_id, kind, CASE kind WHEN 'owner' THEN 1 ELSE 0 END
    FROM chosen, unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS kind"""

# The published events of each account's creation and each member's joining.
_EVENTS: Final = """
    INSERT INTO account.events (sequence, position, type, time, user_id, payload)
    SELECT number, number, 'user.created', created_at, user_id,
           json_build_object('user_id', user_id, 'email', email, 'name', name, 'subscription_plan', 'free',
                             'created_at', to_json(created_at))
    FROM (SELECT *, row_number() OVER (ORDER BY created_at, user_id) AS number
          FROM account.users) AS numbered"""
_CROWD_EVENTS: Final = f"""
    INSERT INTO account.events (sequence, position, type, time, tenant_id, user_id, actor, payload)
    SELECT $1 + number, $1 + number, 'member.joined', joined_at, tenant_id, user_id, user_id,
           json_build_object('tenant_id', tenant_id, 'user_id', user_id, 'role', role, 'invited_by', NULL,
                             'joined_at', to_json(joined_at))
    FROM (SELECT *, row_number() OVER (ORDER BY joined_at, user_id) AS number
          FROM account.memberships WHERE tenant_id = '{CROWD}') AS numbered"""
_CURSORS: Final = f"""
    INSERT INTO account.event_cursors (name, sequence)
    SELECT name, (SELECT max(sequence) FROM account.events)
    FROM unnest(ARRAY['{SEQUENCED}', '{PUBLISHED}']) AS name
    ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence"""
_POSITION: Final = """
    SELECT setval(pg_get_serial_sequence('account.outbox', 'position'), max(position)) FROM account.events"""

_INDEXES: Final = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = 'account.users'::regclass
      AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE conrelid = 'account.users'::regclass)
    ORDER BY 1"""
# The primary key, and the foreign keys that refer to it.
_KEYS: Final = """
    SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint
    WHERE conrelid = 'account.users'::regclass AND contype = 'p'
       OR confrelid = 'account.users'::regclass AND contype = 'f'
    ORDER BY contype DESC, 1, 2"""

_COUNTED: Final = """
    SELECT kept.accounts = real.accounts AND kept.active = real.active
    FROM (SELECT sum(accounts) AS accounts, sum(active) AS active FROM account.account_totals) AS kept,
         (SELECT count(*) AS accounts, count(*) FILTER (WHERE is_active) AS active
          FROM account.users) AS real"""
_FOLDED: Final = "SELECT name, name_key, email, email_key FROM account.users LIMIT 1000"


async def fill(url: str, accounts: int) -> None:
    """Create that many accounts with their events, and the tenants, in a migrated database."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with connected(url) as connection:
        await connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'")
        with _step(f"{accounts:,} accounts"):
            async with _without_indexes(connection):
                halves = ((0, accounts // 2 - 1), (accounts // 2, accounts - 1))
                await asyncio.gather(*(_insert(url, *half, accounts, now) for half in halves))
            await connection.execute("VACUUM (ANALYZE) account.users")
            await connection.execute(_TOTALS)
            await connection.execute(_REGISTRATIONS, now - _REGISTRATIONS_KEPT)
        with _step("their events, and tenants"):
            await connection.execute(_CROWD, min(CROWD_MEMBERS, accounts // 2), now)
            await connection.execute(_HOSTS)
            await _partition(connection, now)
            await connection.execute(_EVENTS)
            await connection.execute(_CROWD_EVENTS, accounts)
            await connection.execute(_CURSORS)
            await connection.execute(_POSITION)
            await connection.execute("VACUUM (ANALYZE)")
        await _check(connection)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _insert(url: str, first: int, last: int, accounts: int, now: datetime) -> None:
    async with connected(url) as connection:
        folded = [fold(name) for name in _FIRST_NAMES]
        await connection.execute(
            _ACCOUNTS, first, last, _FIRST_NAMES, _SYLLABLES, folded, _DOMAINS, now, accounts
        )


@asynccontextmanager
async def _without_indexes(connection: Connection) -> AsyncGenerator[None]:
    """Drop the indexes and keys during the block, which makes inserts much faster; then restore them."""
    indexes, keys = await connection.fetch(_INDEXES), await connection.fetch(_KEYS)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    for key in reversed(keys):
        await connection.execute(f'ALTER TABLE {key["table"]} DROP CONSTRAINT "{key["name"]}"')
    yield
    for key in keys:
        await connection.execute(
            f'ALTER TABLE {key["table"]} ADD CONSTRAINT "{key["name"]}" {key["definition"]}'
        )
    for index in indexes:
        await connection.execute(index["definition"])
    if (await connection.fetch(_INDEXES), await connection.fetch(_KEYS)) != (indexes, keys):
        raise RuntimeError("The restored schema differs from the original one.")


async def _partition(connection: Connection, now: datetime) -> None:
    """Create the partitions of past months; migrating has made this month's."""
    this_month = now.replace(day=1, hour=0, minute=0, second=0)
    month = (now - timedelta(days=_DAYS)).replace(day=1, hour=0, minute=0, second=0)
    while month < this_month:
        following = (month + timedelta(days=32)).replace(day=1)
        name = f"account.events_{month:%Y_%m}"
        await connection.execute(f"CREATE TABLE {name} (LIKE account.events INCLUDING ALL)")
        await connection.execute(
            f"ALTER TABLE account.events ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month:%Y-%m-%d}+00') TO ('{following:%Y-%m-%d}+00')"
        )
        month = following


async def _check(connection: Connection) -> None:
    if not await connection.fetchval(_COUNTED):
        raise RuntimeError("The totals differ from the counted accounts.")
    for row in await connection.fetch(_FOLDED):
        if (fold(row["name"]), fold(row["email"])) != (row["name_key"], row["email_key"]):
            raise RuntimeError(f"hoc would fold {row['name']} or {row['email']} differently.")


class _step:  # noqa: N801 - reads as a function
    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        print(f"  {self._name} … ", end="", flush=True)

    def __exit__(self, *_problem: object) -> None:
        print(f"{time.perf_counter() - self._began:.0f} s", flush=True)
