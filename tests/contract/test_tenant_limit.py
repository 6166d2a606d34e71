"""The daily limit of tenants that one user creates."""

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import ConflictError, LimitExceededError
from hoc.cus.account.L5_schemas.options import Options


async def test_a_user_creates_tenants_up_to_a_daily_limit(world: World) -> None:
    projects = world.engines_with(Options(tenants_per_user_per_day=2)).projects
    user, other = await world.add_user(), await world.add_user()
    async with world.transaction() as session:
        for _ in range(2):
            await projects.create(session, user, name=f"Of {user}")
        with pytest.raises(LimitExceededError) as refused:
            await projects.create(session, user, name=f"Of {user}")
        assert refused.value.retry_after
        await projects.create(session, other, name=f"Of {other}")
        memberships = await world.engines.members.list_memberships(session, user)
    assert memberships.value.total == 2
    world.clock.advance(hours=14)  # to midnight UTC
    async with world.transaction() as session:
        await projects.create(session, user, name=f"Of {user}")


async def test_a_tenant_that_is_refused_does_not_count(world: World) -> None:
    projects = world.engines_with(Options(tenants_per_user_per_day=2)).projects
    user = await world.add_user()
    slug = f"s-{user[4:]}".lower().replace("_", "-")
    async with world.transaction() as session:
        await projects.create(session, user, name="First", slug=slug)
        for _ in range(3):
            with pytest.raises(ConflictError):
                await projects.create(session, user, name="Second", slug=slug)
        await projects.create(session, user, name="Second")
        with pytest.raises(LimitExceededError):
            await projects.create(session, user, name="Third", slug=f"{slug}-3")
    world.clock.advance(days=1)
    async with world.transaction() as session:
        made = await projects.create(session, user, name="Third", slug=f"{slug}-3")
    assert made.value.slug == f"{slug}-3"


async def test_tenants_rolled_back_do_not_count(world: World) -> None:
    projects = world.engines_with(Options(tenants_per_user_per_day=1)).projects
    user = await world.add_user()
    async with world.session() as session:
        await projects.create(session, user, name="First")
        await session.rollback()
    async with world.transaction() as session:
        await projects.create(session, user, name="Second")
