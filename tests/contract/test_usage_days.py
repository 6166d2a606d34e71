"""Usage by day: a range of UTC days, written with the counters."""

from datetime import UTC, date, datetime, timedelta

import pytest
from support.world import NOWHERE, World, outcome

from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError
from hoc.cus.account.L5_schemas.usage_days import UsageDayResult


async def test_each_day_has_its_sums_and_others_zeros(world: World) -> None:
    (tenant_id, _), (other, _) = await world.tenant(), await world.tenant()
    usage, first = world.engines.usage, world.clock.now.date()
    async with world.transaction() as session:
        await usage.record(session, tenant_id, runs=2, tokens=30)
        await usage.record(session, tenant_id, tokens=4)
        await usage.record(session, other, runs=9)
        world.clock.advance(days=2)
        await usage.record(session, tenant_id, runs=1)
        refused = await outcome(usage.record(session, tenant_id, runs=10**6))
        shown = await usage.by_day(session, tenant_id, first=first, last=first + timedelta(days=3))
        assert refused == (LimitExceededError, "quota_exceeded")
        assert [(day.runs, day.tokens) for day in shown.days] == [(2, 34), (0, 0), (1, 0), (0, 0)]
        assert [day.day for day in shown.days] == [first + timedelta(days=n) for n in range(4)]
        one = await usage.by_day(session, tenant_id, first=first, last=first)
        assert one.days == [UsageDayResult(first, 2, 34)]
        assert (await usage.by_day(session, NOWHERE, first=first, last=first)).days[0].runs == 0


async def test_a_rollback_leaves_no_usage(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.session() as session:
        await world.engines.usage.record(session, tenant_id, runs=1)
        await session.rollback()
    async with world.reading() as session:
        shown = await world.engines.usage.by_day(session, tenant_id)
    assert {day.runs for day in shown.days} == {0}


async def test_a_day_begins_at_midnight_utc(world: World) -> None:
    tenant_id, _ = await world.tenant()
    usage = world.engines.usage
    async with world.transaction() as session:
        world.clock.now = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
        await usage.record(session, tenant_id, runs=1)
        world.clock.advance(seconds=1)
        await usage.record(session, tenant_id, runs=2)
        shown = await usage.by_day(session, tenant_id)
    assert len(shown.days) == 30
    assert [(day.day, day.runs) for day in shown.days[-2:]] == [(date(2026, 3, 31), 1), (date(2026, 4, 1), 2)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 3, 2), date(2026, 3, 1)),
        (date(2025, 1, 1), date(2026, 1, 2)),
        (date(1899, 12, 31), date(1900, 1, 1)),
        (date.min, None),
        (None, date.max),
        (None, date.min),
    ],
)
async def test_a_range_without_bounds_is_refused(world: World, first: date | None, last: date | None) -> None:
    tenant_id, _ = await world.tenant()
    async with world.reading() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.usage.by_day(session, tenant_id, first=first, last=last)
        year = await world.engines.usage.by_day(
            session, tenant_id, first=date(2025, 1, 1), last=date(2026, 1, 1)
        )
    assert len(year.days) == 366
