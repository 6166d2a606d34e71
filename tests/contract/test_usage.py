"""Metering: usage is counted and limited in one step, by UTC day and month."""

from datetime import UTC, datetime, timedelta

import pytest
from support.world import NOWHERE, World

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.results import UsageResult


async def counted(world: World, tenant_id: str) -> tuple[int, int, int]:
    """The usage that the project shows, and the billing summary, too."""
    async with world.reading() as session:
        project = await world.facade.get_project_detail(session, tenant_id, tenant_id)
        billing = await world.engines.billing.summary(session, tenant_id)
    assert project is not None
    assert billing.usage_this_period == {
        "runs_today": project.runs_today,
        "runs_this_month": project.runs_this_month,
        "tokens_this_month": project.tokens_this_month,
    }
    assert (billing.runs_this_month, billing.tokens_this_month) == (
        project.runs_this_month,
        project.tokens_this_month,
    )
    return project.runs_today, project.runs_this_month, project.tokens_this_month


async def test_usage_adds_up(world: World) -> None:
    tenant_id, _ = await world.tenant()
    other_id, _ = await world.tenant()
    record = world.engines.usage.record
    async with world.transaction() as session:
        assert await record(session, tenant_id, runs=2, tokens=30) == UsageResult(2, 2, 30, 100, 1_000_000)
        assert await record(session, tenant_id, tokens=12) == UsageResult(2, 2, 42, 100, 1_000_000)
        assert await record(session, tenant_id) == UsageResult(2, 2, 42, 100, 1_000_000)
    assert await counted(world, tenant_id) == (2, 2, 42)
    assert await counted(world, other_id) == (0, 0, 0)


async def test_a_quota_is_used_to_the_last_and_no_further(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    async with world.transaction() as session:
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=101)
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=1, tokens=1_000_001)
        await record(session, tenant_id, runs=99, tokens=999_999)
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=2)
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=1, tokens=2)
        last = await record(session, tenant_id, runs=1, tokens=1)
        assert (last.runs_today, last.tokens_this_month) == (100, 1_000_000)
        with pytest.raises(LimitExceededError) as refused:
            await record(session, tenant_id, runs=1)
        assert refused.value.error == "quota_exceeded"
        assert await record(session, tenant_id) == last
    assert await counted(world, tenant_id) == (100, 100, 1_000_000)


async def test_a_day_ends_at_midnight_utc(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    world.clock.now = datetime(2026, 3, 14, 23, 59, 59, 999_999, UTC)
    async with world.transaction() as session:
        await record(session, tenant_id, runs=100, tokens=5)
        with pytest.raises(LimitExceededError) as refused:
            await record(session, tenant_id, runs=1)
        assert refused.value.retry_after == 1
    world.clock.now = datetime(2026, 3, 15, tzinfo=UTC)
    assert await counted(world, tenant_id) == (0, 100, 5)
    async with world.transaction() as session:
        assert (await record(session, tenant_id, runs=100)).runs_this_month == 200
    assert await counted(world, tenant_id) == (100, 200, 5)


@pytest.mark.parametrize(
    ("last", "first"),
    [
        (datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
async def test_a_month_ends_with_its_last_day(world: World, last: datetime, first: datetime) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    world.clock.now = last
    async with world.transaction() as session:
        await record(session, tenant_id, runs=100, tokens=1_000_000)
        with pytest.raises(LimitExceededError) as refused:
            await record(session, tenant_id, tokens=1)
        assert refused.value.retry_after == 1
    world.clock.now = first
    assert await counted(world, tenant_id) == (0, 0, 0)
    async with world.transaction() as session:
        assert await record(session, tenant_id, runs=1, tokens=7) == UsageResult(1, 1, 7, 100, 1_000_000)
    assert await counted(world, tenant_id) == (1, 1, 7)


async def test_the_same_month_of_another_year_is_another_month(world: World) -> None:
    tenant_id, _ = await world.tenant()
    world.clock.now = datetime(2025, 3, 14, 10, tzinfo=UTC)
    async with world.transaction() as session:
        await world.engines.usage.record(session, tenant_id, runs=3, tokens=3)
    world.clock.now = datetime(2026, 3, 14, 10, tzinfo=UTC)
    assert await counted(world, tenant_id) == (0, 0, 0)


async def test_a_server_whose_clock_is_behind_does_not_start_over(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    world.clock.now = datetime(2026, 4, 1, 0, 0, 1, tzinfo=UTC)
    async with world.transaction() as session:
        await record(session, tenant_id, runs=60, tokens=5)
    world.clock.now = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    async with world.transaction() as session:
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=41)
        await record(session, tenant_id, runs=40, tokens=5)
    world.clock.now = datetime(2026, 4, 1, 0, 0, 2, tzinfo=UTC)
    assert await counted(world, tenant_id) == (100, 100, 10)


async def test_a_clock_far_ahead_ends_no_month(world: World) -> None:
    """Its days are bounded by the database's clock, and so all of them are one day."""
    tenant_id, _ = await world.tenant()
    for days in (400, 800):
        world.clock.now = utc_now() + timedelta(days=days)
        async with world.transaction() as session:
            await world.engines.usage.record(session, tenant_id, runs=1, tokens=2)
    assert await counted(world, tenant_id) == (2, 2, 4)


async def test_retry_after_reaches_to_the_end_of_the_day_or_month(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(LimitExceededError) as runs:
            await world.engines.usage.record(session, tenant_id, runs=101)
        assert runs.value.retry_after == 14 * 3_600
        with pytest.raises(LimitExceededError) as tokens:
            await world.engines.usage.record(session, tenant_id, tokens=1_000_001)
        assert tokens.value.retry_after == 17 * 86_400 + 14 * 3_600


async def test_a_quota_lowered_below_use_refuses_only_what_it_limits(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    async with world.transaction() as session:
        await record(session, tenant_id, runs=50, tokens=50)
        await world.engines.projects.override_quotas(
            session, tenant_id, max_runs_per_day=10, max_tokens_per_month=100
        )
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=1)
        assert (await record(session, tenant_id, tokens=50)).tokens_this_month == 100
        with pytest.raises(LimitExceededError) as tokens:
            await record(session, tenant_id, tokens=1)
        assert "tokens" in tokens.value.message
        assert tokens.value.retry_after == 17 * 86_400 + 14 * 3_600


async def test_an_override_and_a_plan_count(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.usage.record
    async with world.transaction() as session:
        await world.engines.projects.override_quotas(session, tenant_id, max_runs_per_day=0)
        with pytest.raises(LimitExceededError):
            await record(session, tenant_id, runs=1)
        await world.engines.projects.override_quotas(session, tenant_id, max_runs_per_day=None)
        start = world.clock.now
        await world.engines.billing.set_subscription(
            session,
            tenant_id,
            plan="pro",
            current_period_start=start,
            current_period_end=start.replace(month=4),
        )
        assert await record(session, tenant_id, runs=1_000) == UsageResult(1_000, 1_000, 0, 1_000, 10_000_000)


@pytest.mark.parametrize(("runs", "tokens"), [(-1, 0), (0, -1), (2**40 + 1, 0), (0, 2**63)])
async def test_bad_numbers_are_refused(world: World, runs: int, tokens: int) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.usage.record(session, tenant_id, runs=runs, tokens=tokens)


async def test_only_an_active_tenant_is_metered(world: World) -> None:
    tenant_id, _ = await world.tenant()
    await world.suspend(tenant_id)
    async with world.transaction() as session:
        for tenant in (tenant_id, NOWHERE):
            with pytest.raises(NotFoundError):
                await world.engines.usage.record(session, tenant, runs=1)
    assert await counted(world, tenant_id) == (0, 0, 0)
