"""Leases: parts of a quota, held until they are released or expire."""

from typing import Any

import pytest
from support.world import NOWHERE, World, outcome

from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError, NotFoundError

EXCEEDED = (LimitExceededError, "quota_exceeded")
NOT_FOUND = (NotFoundError, "not_found")
INVALID = (InvalidInputError, "invalid_input")

FREE_PLAN = {"max_workers": 3, "max_concurrent_runs": 5, "max_api_keys": 5}


async def acquire(world: World, tenant_id: str, quota: Any, lease_id: str, **given: Any) -> Any:
    async with world.transaction() as session:
        return await outcome(world.engines.leases.acquire(session, tenant_id, quota, lease_id, **given))


@pytest.mark.parametrize(("quota", "limit"), FREE_PLAN.items())
async def test_as_many_are_held_as_the_quota_allows(world: World, quota: Any, limit: int) -> None:
    tenant_id, _ = await world.tenant()
    other_id, _ = await world.tenant()
    for number in range(limit):
        lease = await acquire(world, tenant_id, quota, f"l{number}")
        assert (lease.quota, lease.lease_id) == (quota, f"l{number}")
        assert (lease.expires_at is None) == (quota == "max_api_keys")
    assert await acquire(world, tenant_id, quota, "beyond") == EXCEEDED
    assert (await acquire(world, tenant_id, quota, "l0")).lease_id == "l0"
    assert (await acquire(world, other_id, quota, "l0")).lease_id == "l0"
    others = {name for name in FREE_PLAN if name != quota}
    assert all([(await acquire(world, tenant_id, name, "l0")).quota == name for name in others])
    async with world.transaction() as session:
        await world.engines.leases.release(session, tenant_id, quota, "l1")
        await world.engines.leases.release(session, tenant_id, quota, "l1")
        await world.engines.leases.release(session, tenant_id, quota, "nobody's")
    assert (await acquire(world, tenant_id, quota, "beyond")).lease_id == "beyond"
    assert await acquire(world, tenant_id, quota, "l1") == EXCEEDED


async def test_the_refusal_names_the_quota(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        await world.engines.projects.override_quotas(session, tenant_id, max_workers=0)
        with pytest.raises(LimitExceededError, match=r"The quota max_workers of 0 is used up\."):
            await world.engines.leases.acquire(session, tenant_id, "max_workers", "w")


async def test_a_lease_ends_by_itself(world: World) -> None:
    tenant_id, _ = await world.tenant()
    for number in range(3):
        await acquire(world, tenant_id, "max_workers", f"w{number}")
    for number in range(5):
        await acquire(world, tenant_id, "max_api_keys", f"k{number}")
    await world.expire_leases(tenant_id)
    renew = world.engines.leases.renew
    async with world.transaction() as session:
        assert await outcome(renew(session, tenant_id, "max_workers", "w0")) == NOT_FOUND
    for number in (0, 7, 8):
        assert (await acquire(world, tenant_id, "max_workers", f"w{number}")).lease_id == f"w{number}"
    assert await acquire(world, tenant_id, "max_workers", "w1") == EXCEEDED
    assert await acquire(world, tenant_id, "max_api_keys", "k5") == EXCEEDED


async def test_the_project_shows_what_is_held(world: World) -> None:
    (tenant_id, _), (other_id, _) = await world.tenant(), await world.tenant()
    for quota, number in (("max_workers", 3), ("max_concurrent_runs", 2), ("max_api_keys", 1)):
        for lease in range(number):
            await acquire(world, tenant_id, quota, f"l{lease}")
    await acquire(world, other_id, "max_workers", "l0")

    async def held() -> tuple[int, int, int]:
        async with world.transaction() as session:
            project = await world.facade.projects.get(session, tenant_id, tenant_id)
        assert project is not None
        return project.value.workers, project.value.concurrent_runs, project.value.api_keys

    assert await held() == (3, 2, 1)
    async with world.transaction() as session:
        await world.engines.leases.release(session, tenant_id, "max_workers", "l0")
    assert await held() == (2, 2, 1)
    await world.expire_leases(tenant_id)
    assert await held() == (0, 0, 1)


async def test_a_renewed_lease_lasts_longer(world: World) -> None:
    tenant_id, _ = await world.tenant()
    first = await acquire(world, tenant_id, "max_workers", "w", seconds=10)
    async with world.transaction() as session:
        renewed = await world.engines.leases.renew(session, tenant_id, "max_workers", "w", seconds=3_600)
    assert 3_000 < (renewed.expires_at - first.expires_at).total_seconds() < 4_000
    again = await acquire(world, tenant_id, "max_workers", "w", seconds=7_200)
    assert 3_000 < (again.expires_at - renewed.expires_at).total_seconds() < 4_000
    async with world.transaction() as session:
        await world.engines.leases.release(session, tenant_id, "max_workers", "w")
        assert await outcome(world.engines.leases.renew(session, tenant_id, "max_workers", "w")) == NOT_FOUND


async def test_a_rollback_gives_the_part_back(world: World) -> None:
    tenant_id, _ = await world.tenant()
    leases = world.engines.leases
    await acquire(world, tenant_id, "max_workers", "kept")
    async with world.session() as session:
        for number in range(2):
            await leases.acquire(session, tenant_id, "max_workers", f"w{number}")
        assert await outcome(leases.acquire(session, tenant_id, "max_workers", "w2")) == EXCEEDED
        await session.rollback()
    async with world.session() as session:
        await leases.release(session, tenant_id, "max_workers", "kept")
        await session.rollback()
    for number in range(2):
        assert (await acquire(world, tenant_id, "max_workers", f"x{number}")).lease_id == f"x{number}"
    assert await acquire(world, tenant_id, "max_workers", "x2") == EXCEEDED


async def test_a_lowered_quota_refuses_until_enough_are_released(world: World) -> None:
    tenant_id, _ = await world.tenant()
    for number in range(3):
        await acquire(world, tenant_id, "max_workers", f"w{number}")
    async with world.transaction() as session:
        await world.engines.projects.override_quotas(session, tenant_id, max_workers=2)
        await world.engines.leases.renew(session, tenant_id, "max_workers", "w0")
        await world.engines.leases.release(session, tenant_id, "max_workers", "w0")
    assert await acquire(world, tenant_id, "max_workers", "x") == EXCEEDED
    async with world.transaction() as session:
        await world.engines.leases.release(session, tenant_id, "max_workers", "w1")
    assert (await acquire(world, tenant_id, "max_workers", "x")).lease_id == "x"
    assert await acquire(world, tenant_id, "max_workers", "y") == EXCEEDED


async def test_leases_and_usage_are_counted_apart(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        await world.engines.leases.acquire(session, tenant_id, "max_concurrent_runs", "r")
        first = await world.engines.usage.record(session, tenant_id, runs=1, tokens=7)
    world.clock.advance(days=1)
    await acquire(world, tenant_id, "max_concurrent_runs", "s")
    async with world.transaction() as session:
        second = await world.engines.usage.record(session, tenant_id, runs=1, tokens=7)
    assert (first.runs_today, first.tokens_this_month) == (1, 7)
    assert (second.runs_today, second.runs_this_month, second.tokens_this_month) == (1, 2, 14)


@pytest.mark.parametrize(
    ("quota", "lease_id", "given"),
    [
        ("max_planets", "l", {}),
        ("max_runs_per_day", "l", {}),
        ("max_workers", "", {}),
        ("max_workers", "a/b", {}),
        ("max_workers", "l" * 256, {}),
        ("max_workers", "l", {"seconds": 0}),
        ("max_workers", "l", {"seconds": 86_401}),
        ("max_workers", "l", {"seconds": 1.5}),
        ("max_api_keys", "l", {"seconds": 60}),
    ],
)
async def test_bad_leases_are_refused(world: World, quota: str, lease_id: str, given: dict[str, Any]) -> None:
    tenant_id, _ = await world.tenant()
    assert await acquire(world, tenant_id, quota, lease_id, **given) == INVALID


async def test_an_api_key_is_not_renewed(world: World) -> None:
    tenant_id, _ = await world.tenant()
    await acquire(world, tenant_id, "max_api_keys", "k")
    async with world.transaction() as session:
        renewal = world.engines.leases.renew(session, tenant_id, "max_api_keys", "k")
        assert await outcome(renewal) == INVALID


async def test_only_an_active_tenant_leases(world: World) -> None:
    tenant_id, _ = await world.tenant()
    await acquire(world, tenant_id, "max_workers", "w")
    await world.suspend(tenant_id)
    for tenant in (tenant_id, NOWHERE):
        assert await acquire(world, tenant, "max_workers", "w") == NOT_FOUND
        async with world.transaction() as session:
            assert await outcome(world.engines.leases.renew(session, tenant, "max_workers", "w")) == NOT_FOUND
            await world.engines.leases.release(session, tenant, "max_workers", "w")
