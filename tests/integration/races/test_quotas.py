"""Metering and leases inside the callers' transactions: exact at the limit, and no queue before it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

import pytest
from sqlalchemy import Executable, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import open_connections, opened
from support.races import WAITING_FOR_LOCKS, meeting, rewrite
from support.seed import add_tenants, add_users, execute, scalar
from support.waiting import until
from support.world import outcome

from hoc.cus.account.L5_schemas.errors import LimitExceededError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers import quota_division
from hoc.cus.account.L6_drivers.execution import fetch_one
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database

AT_ONCE: Final = 6
ROUNDS: Final = 25
FULL: Final = 32

Work: TypeAlias = Callable[[AsyncConnection], Awaitable[object]]

ENGINES = postgres_engines(Options())

USED = (
    "SELECT ARRAY[sum(runs_today), sum(runs_this_month), sum(tokens_this_month)]::bigint[]"
    " FROM account.quota_counters WHERE tenant_id = :tenant"
)
HELD = "SELECT count(*) FROM account.leases WHERE tenant_id = :tenant AND quota = 'max_workers'"
# In the statement that is tried in a savepoint: once it has begun, and before it locks a row.
BETWEEN_LOOKING_AND_LOCKING = (
    (
        r"(?s)^(?!.*\barray\()(WITH tenant AS .*?account\.tenants\.tenant_id = \S+)"
        r"(.*UPDATE account\.quota_counters)"
    ),
    r"\1 AND pg_advisory_xact_lock_shared(1) IS NOT NULL\2",
)
ROWS = "SELECT count(*) FROM account.quota_counters WHERE tenant_id = :tenant"


@dataclass(frozen=True, slots=True)
class Product:
    """A host with one tenant after the other."""

    url: str
    database: Database
    owner: str

    async def tenant(self, **quotas: int) -> str:
        [tenant] = await add_tenants(self.database, 1, {self.owner: "owner"})
        await self.override(tenant, **quotas)
        return tenant

    async def override(self, tenant: str, **quotas: Any) -> None:
        async with self.database.transaction() as session:
            await ENGINES.projects.override_quotas(session, tenant, **quotas)

    async def done(self, work: Work, *, undo: bool = False) -> bool:
        """Whether the work was done, and not refused, in a transaction that commits, or is undone."""
        try:
            async with self.database.transaction() as session:
                await work(session)
                if undo:
                    await session.rollback()
        except LimitExceededError:
            return False
        return True

    async def waiting(self, transactions: int) -> None:
        """Return once as many transactions wait for locks."""

        async def are_waiting() -> bool:
            return await scalar(self.database, WAITING_FOR_LOCKS) == transactions

        await until(are_waiting)

    async def grow(self, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the tenant's quotas divided over all rows, as when many have worked at the same time."""
        assert await self.done(record(tenant))
        with monkeypatch.context() as patched:
            patched.setattr(quota_division, "GROWTH", quota_division.MAX_ROWS)
            async with self.database.transaction() as session:
                await ENGINES.usage.record(session, tenant, runs=1)
                second = asyncio.create_task(self.done(record(tenant)))
                await self.waiting(1)
                await session.rollback()
            await second
        assert await scalar(self.database, ROWS, tenant=tenant) == quota_division.MAX_ROWS


def record(tenant: str, runs: int = 1, tokens: int = 0) -> Work:
    return lambda session: ENGINES.usage.record(session, tenant, runs=runs, tokens=tokens)


def acquire(tenant: str, lease_id: str) -> Work:
    return lambda session: ENGINES.leases.acquire(session, tenant, "max_workers", lease_id)


def second_lease(tenant: str) -> Work:
    return acquire(tenant, "second")


@asynccontextmanager
async def product_on(url: str, connections: int) -> AsyncGenerator[Product]:
    async with opened(url, pool_size=connections) as database:
        await open_connections(database, connections)
        [owner] = await add_users(database, 1)
        yield Product(url, database, owner)


@pytest.fixture
async def product(fresh_database_url: str) -> AsyncGenerator[Product]:
    async with product_on(fresh_database_url, FULL + 2) as running:
        yield running


@pytest.mark.parametrize(("runs", "quota"), [(1, 9), (3, 20)])
async def test_usage_ends_exactly_at_the_quota(product: Product, runs: int, quota: int) -> None:
    """Every third transaction is undone, also at the quota's very end: nobody is refused for its sake."""
    for _ in range(ROUNDS):
        tenant = await product.tenant(max_runs_per_day=quota)

        async def work(number: int, tenant: str = tenant) -> int:
            committed = 0
            for turn in count(number):
                undo = turn % 3 == 0 and turn < quota
                if not await product.done(record(tenant, runs, tokens=7), undo=undo):
                    return committed
                committed += not undo
            raise AssertionError

        committed = sum(await asyncio.gather(*map(work, range(AT_ONCE))))
        assert committed == quota // runs
        used = [runs * committed, runs * committed, 7 * committed]
        assert await scalar(product.database, USED, tenant=tenant) == used


async def test_leases_end_exactly_at_the_quota(product: Product) -> None:
    """Two transactions are undone, and another wants one of the ids too: all others share the quota."""
    for _ in range(ROUNDS):
        tenant = await product.tenant(max_workers=3)
        undone = [product.done(acquire(tenant, f"undone-{n}"), undo=True) for n in range(2)]
        twice = [product.done(acquire(tenant, "same")) for _ in range(2)]
        others = [product.done(acquire(tenant, f"w{n}")) for n in range(AT_ONCE)]
        done = await asyncio.gather(*undone, *twice, *others)
        held = await scalar(product.database, HELD, tenant=tenant)
        assert (held, done[2] + sum(done[4:])) == (3, 3)
        assert done[2] == done[3]


async def test_released_leases_are_there_for_others(product: Product) -> None:
    """Six holders take turns at three leases. In the end nothing is counted that nobody holds."""
    tenant = await product.tenant(max_workers=3)

    async def hold_in_turn(number: int) -> int:
        turns = 0
        for _ in range(ROUNDS // 2):
            if await product.done(acquire(tenant, f"w{number}")):
                turns += 1
                held = await scalar(product.database, HELD, tenant=tenant)
                assert isinstance(held, int)
                assert held <= 3
                async with product.database.transaction() as session:
                    await ENGINES.leases.release(session, tenant, "max_workers", f"w{number}")
        return turns

    assert sum(await asyncio.gather(*map(hold_in_turn, range(AT_ONCE)))) >= 3
    assert [await product.done(acquire(tenant, f"x{n}")) for n in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("work", [record, second_lease])
async def test_the_last_waits_for_what_is_in_flight(
    product: Product,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[str], Work],
    *,
    grown: bool,
    undo: bool,
) -> None:
    tenant = await product.tenant()
    if grown:
        await product.grow(tenant, monkeypatch)
    else:
        assert await product.done(record(tenant, 2))
    await product.override(tenant, max_runs_per_day=3, max_workers=1)
    async with product.database.transaction() as session:
        await ENGINES.usage.record(session, tenant, runs=1)
        await ENGINES.leases.acquire(session, tenant, "max_workers", "first")
        second = asyncio.create_task(product.done(work(tenant)))
        await product.waiting(1)
        if undo:
            await session.rollback()
    assert await second == undo
    assert not await product.done(work(tenant)) or undo


@pytest.mark.parametrize("undo", [False, True])
async def test_a_release_in_flight_is_waited_for(product: Product, *, undo: bool) -> None:
    """When it released, the tenant's only row was locked by another, and so the row does not show it."""
    tenant = await product.tenant(max_workers=1)
    assert await product.done(acquire(tenant, "first"))
    async with product.database.transaction() as releasing:
        async with product.database.transaction() as session:
            await ENGINES.usage.record(session, tenant, runs=1)
            await ENGINES.leases.release(releasing, tenant, "max_workers", "first")
        second = asyncio.create_task(product.done(acquire(tenant, "second")))
        await product.waiting(1)
        if undo:
            await releasing.rollback()
    assert await second != undo


@pytest.mark.parametrize("undo", [False, True])
async def test_what_fits_no_row_waits_for_all_of_them(
    product: Product, monkeypatch: pytest.MonkeyPatch, *, undo: bool
) -> None:
    """63 runs are left, at most one in a row. One is in flight, in a row that nobody else has to lock."""
    tenant = await product.tenant()
    await product.grow(tenant, monkeypatch)
    await product.override(tenant, max_runs_per_day=66)
    assert await product.done(record(tenant))
    async with product.database.transaction() as session:
        await ENGINES.usage.record(session, tenant, runs=1)
        second = asyncio.create_task(product.done(record(tenant, 63)))
        await product.waiting(1)
        if undo:
            await session.rollback()
    assert await second == undo
    used = 66 if undo else 4
    assert await scalar(product.database, USED, tenant=tenant) == [used, used, 0]


async def _attempt_without_savepoint(
    session: AsyncConnection, statement: Executable, values: Mapping[str, Any]
) -> object:
    return await fetch_one(session, statement, **values)


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_refused_call_keeps_no_row_locked(
    product: Product, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """It has looked at the row, and waits, as another uses the row up. Others may count on the row then."""
    tenant = await product.tenant(max_runs_per_day=1)
    assert await product.done(record(tenant, 0, tokens=1))
    if taken_out:
        monkeypatch.setattr(quota_division, "_attempt", _attempt_without_savepoint)
    async with opened(product.url, pool_size=1) as slow:
        rewrite(slow, BETWEEN_LOOKING_AND_LOCKING)
        async with (
            meeting(product.url, "SELECT pg_advisory_xact_lock(1)") as held,
            slow.transaction() as session,
        ):
            refused = await held.join(outcome(ENGINES.usage.record(session, tenant, runs=1)))
            assert await product.done(record(tenant))
            await held.release()
            assert await refused == (LimitExceededError, "quota_exceeded")
            other = await held.join(product.done(record(tenant, 0, tokens=1)))
            assert other.done() is not taken_out
    assert await other


@pytest.mark.parametrize("taken_out", [False, True])
async def test_rows_are_divided_by_one_call_at_a_time(
    product: Product, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Two calls wait for the only row. The second one must know of the rows that the first one makes."""
    if taken_out:
        monkeypatch.setattr(quota_division, "GATE", select(literal(1)))
    tenant = await product.tenant(max_runs_per_day=1_000)
    assert await product.done(record(tenant, 90))
    async with product.database.transaction() as session:
        await ENGINES.usage.record(session, tenant, runs=8)
        waiting = [asyncio.create_task(product.done(record(tenant)))]
        await product.waiting(1)
        waiting.append(asyncio.create_task(product.done(record(tenant))))
        await product.waiting(2)
    assert await asyncio.gather(*waiting) == [True, True]
    assert (await scalar(product.database, USED, tenant=tenant) == [100, 100, 0]) is not taken_out


@pytest.mark.parametrize("taken_out", [False, True])
async def test_days_stay_whole_when_rows_are_divided_anew(
    product: Product, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    if taken_out:
        monkeypatch.setattr(quota_division, "ARCHIVE", select(literal(1)))
    tenant = await product.tenant()
    await product.grow(tenant, monkeypatch)
    assert await product.done(record(tenant, 3, tokens=70))
    await execute(product.database, "UPDATE account.quota_counters SET day = day - 1")
    assert await product.done(record(tenant, 4, tokens=5))
    await product.override(tenant, max_runs_per_day=50)
    assert await product.done(record(tenant, 40, tokens=6))
    async with product.database.reading() as session:
        shown = (await ENGINES.usage.by_day(session, tenant)).days[-2:]
    days = [(day.runs, day.tokens) for day in shown]
    assert (days == [(5, 70), (44, 11)]) is not taken_out


async def test_a_full_house_of_transactions_waits_for_nobody(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have recorded, and all are still open: on one row, each would wait for the one before."""
    tenant = await product.tenant(max_workers=100, max_runs_per_day=1_000)
    await product.grow(tenant, monkeypatch)
    met = asyncio.Barrier(FULL)

    async def work(number: int) -> None:
        async with product.database.transaction() as session:
            await ENGINES.usage.record(session, tenant, runs=1)
            await met.wait()
            await ENGINES.usage.record(session, tenant, tokens=10)
            await ENGINES.leases.acquire(session, tenant, "max_workers", f"w{number}")
            await met.wait()

    await asyncio.gather(*map(work, range(FULL)))
    assert await scalar(product.database, USED, tenant=tenant) == [FULL + 2, FULL + 2, 10 * FULL]
    assert await scalar(product.database, HELD, tenant=tenant) == FULL


async def test_a_crash_gives_back_what_was_not_committed(product: Product) -> None:
    tenant = await product.tenant(max_workers=1, max_runs_per_day=1)
    async with product.database.engine.connect() as session:
        await ENGINES.usage.record(session, tenant, runs=1)
        await ENGINES.leases.acquire(session, tenant, "max_workers", "lost")
        backend = await session.scalar(text("SELECT pg_backend_pid()"))
        waiting = asyncio.create_task(product.done(acquire(tenant, "next")))
        await product.waiting(1)
        await execute(product.database, f"SELECT pg_terminate_backend({backend})")
        await session.invalidate()
    assert await waiting
    assert await product.done(record(tenant))
    assert not await product.done(acquire(tenant, "beyond"))


async def test_a_lowered_quota_counts_what_is_in_flight(product: Product) -> None:
    tenant = await product.tenant(max_runs_per_day=10)
    assert await product.done(record(tenant, 3))
    async with product.database.transaction() as session:
        await ENGINES.usage.record(session, tenant, runs=2)
        await product.override(tenant, max_runs_per_day=5)
        second = asyncio.create_task(product.done(record(tenant)))
        await product.waiting(1)
    assert not await second
    assert await scalar(product.database, USED, tenant=tenant) == [5, 5, 0]
