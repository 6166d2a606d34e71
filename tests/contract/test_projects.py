"""Projects: reading, creating, the life cycle, onboarding, quotas."""

import itertools
from dataclasses import fields
from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, World, refusal

from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.events import TenantQuotasChangedEventData
from hoc.cus.account.L5_schemas.results import ExtendedProjectDetailResult
from hoc.cus.account.L5_schemas.values import QUOTAS

LIFE_CYCLE = {
    ("active", "active"): True,
    ("active", "suspended"): True,
    ("active", "terminated"): True,
    ("active", "archived"): False,
    ("suspended", "active"): True,
    ("suspended", "suspended"): True,
    ("suspended", "terminated"): True,
    ("suspended", "archived"): False,
    ("terminated", "active"): False,
    ("terminated", "suspended"): False,
    ("terminated", "terminated"): True,
    ("terminated", "archived"): True,
    ("archived", "active"): False,
    ("archived", "suspended"): False,
    ("archived", "terminated"): False,
    ("archived", "archived"): True,
}
WAY_TO = {
    "active": [],
    "suspended": ["suspended"],
    "terminated": ["terminated"],
    "archived": ["terminated", "archived"],
}


async def test_a_new_project_is_free_active_and_its_creators(world: World) -> None:
    owner = await world.add_user()
    async with world.transaction() as session:
        created = await world.engines.projects.create(
            session, owner, name="  Röntgen & Söhne ", description="Two lines\nof text"
        )
    project = created.value
    assert created.version == 1
    assert (project.name, project.description) == ("Röntgen & Söhne", "Two lines\nof text")
    assert (project.status, project.plan) == ("active", "free")
    assert project.created_at == project.updated_at == world.clock.now
    assert (project.max_workers, project.max_runs_per_day, project.max_concurrent_runs) == (3, 100, 5)
    assert (project.max_tokens_per_month, project.max_api_keys, project.max_members) == (1_000_000, 5, 10)
    assert (project.runs_today, project.runs_this_month, project.tokens_this_month) == (0, 0, 0)
    assert (project.workers, project.concurrent_runs, project.api_keys, project.seats) == (0, 0, 0, 1)
    assert (project.onboarding_state, project.onboarding_complete) == (0, False)
    assert await world.role_of(project.project_id, owner) == "owner"


async def test_a_tenant_lists_its_one_project(world: World) -> None:
    tenant_id, _ = await world.tenant()
    await world.tenant()
    async with world.reading() as session:
        every = await world.facade.list_projects(session, tenant_id)
        active = await world.facade.list_projects(session, tenant_id, status="active")
        suspended = await world.facade.list_projects(session, tenant_id, status="suspended")
        skipped = await world.facade.list_projects(session, tenant_id, offset=1)
    assert [item.project_id for item in every.items] == [tenant_id]
    assert (every.total, every.has_more, every.filters_applied) == (1, False, {"tenant_id": tenant_id})
    assert (active.total, active.filters_applied) == (1, {"tenant_id": tenant_id, "status": "active"})
    assert (suspended.items, suspended.total) == ([], 0)
    assert (skipped.items, skipped.total) == ([], 1)


async def test_an_unknown_status_filter_is_an_error(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.reading() as session:
        for status in ("ACTIVE", "deleted", ""):
            with pytest.raises(InvalidInputError):
                await world.facade.list_projects(session, tenant_id, status=status)  # type: ignore[arg-type]  # any text


async def test_a_foreign_project_is_like_none(world: World) -> None:
    tenant_id, _ = await world.tenant()
    foreign_id, _ = await world.tenant()
    async with world.reading() as session:
        assert await world.facade.get_project_detail(session, tenant_id, foreign_id) is None
        assert await world.facade.get_project_detail(session, tenant_id, NOWHERE) is None
        assert await world.facade.get_project_detail(session, NOWHERE, tenant_id) is None
        found = await world.facade.get_project_detail(session, tenant_id, tenant_id)
        assert found is not None
        assert found.project_id == tenant_id
        nowhere = await world.facade.list_projects(session, NOWHERE)
        assert (nowhere.items, nowhere.total) == ([], 0)


async def test_slugs_are_made_from_names_and_unique_across_tenants(world: World) -> None:
    owner = await world.add_user()
    slug = f"s-{owner[4:]}"
    async with world.transaction() as session:
        create = world.engines.projects.create
        first = await create(session, owner, name=f"S {owner[4:]}")
        second = await create(session, owner, name=f"S {owner[4:]}")
        assert first.value.slug == slug
        assert second.value.slug.startswith(f"{slug}-")
        with pytest.raises(ConflictError) as taken:
            await create(session, owner, name="Another", slug=slug)
        assert taken.value.error == "slug_taken"
        memberships = await world.engines.members.list_memberships(session, owner)
        assert memberships.value.total == 2


@pytest.mark.parametrize("slug", ["", "A", "-a", "a-", "a_b", "ä", "a" * 64, "a\n"])
async def test_a_bad_slug_is_refused(world: World, slug: str) -> None:
    owner = await world.add_user()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.projects.create(session, owner, name="Name", slug=slug)


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "nul\x00", "\ud800", "x" * 256])
async def test_a_bad_name_is_refused(world: World, name: str) -> None:
    owner = await world.add_user()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.projects.create(session, owner, name=name)


async def test_only_an_active_account_creates_a_project(world: World) -> None:
    inactive = await world.add_user()
    await world.deactivate(inactive)
    async with world.transaction() as session:
        for user_id in (inactive, NOBODY):
            with pytest.raises(ForbiddenError):
                await world.engines.projects.create(session, user_id, name="Name")


@pytest.mark.parametrize(("before", "after"), LIFE_CYCLE)
async def test_the_life_cycle(world: World, before: Any, after: Any) -> None:
    tenant_id, _ = await world.tenant()
    for status in WAY_TO[before]:
        await world.suspend(tenant_id, status)
    async with world.transaction() as session:
        change = world.engines.projects.change_status
        if LIFE_CYCLE[before, after]:
            assert (await change(session, tenant_id, after)).status == after
        else:
            with pytest.raises(ConflictError):
                await change(session, tenant_id, after)
            found = await world.facade.get_project_detail(session, tenant_id, tenant_id)
            assert found is not None
            assert found.status == before


async def test_a_change_of_status_needs_a_tenant_and_a_known_status(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(NotFoundError):
            await world.engines.projects.change_status(session, NOWHERE, "suspended")
        with pytest.raises(InvalidInputError):
            await world.engines.projects.change_status(session, tenant_id, "paused")  # type: ignore[arg-type]  # any text


async def test_suspended_reads_but_does_not_write(world: World) -> None:
    team = await world.team()
    invitation_id, token = await world.invite(team.tenant_id, team.owner)
    await world.suspend(team.tenant_id)
    engines, tenant_id = world.engines, team.tenant_id
    async with world.transaction() as session:
        assert (await world.facade.list_users(session, tenant_id)).total == 4
        assert (await engines.invitations.list(session, tenant_id, team.owner)).value.total == 4
        for write in (
            engines.projects.update(session, tenant_id, team.owner, tenant_id, name="N"),
            engines.members.update(session, tenant_id, team.owner, team.member, metadata={}),
            engines.members.change_role(session, tenant_id, team.owner, team.member, "viewer"),
            engines.members.remove(session, tenant_id, team.owner, team.member),
            engines.members.leave(session, tenant_id, team.member),
            engines.ownership.start(session, tenant_id, team.owner, team.member),
            engines.invitations.invite(session, tenant_id, team.owner, email=world.new_email()),
            engines.invitations.resend(session, tenant_id, team.owner, invitation_id),
            engines.invitations.revoke(session, tenant_id, team.owner, invitation_id),
            engines.acceptances.accept(session, invitation_id, token),
            engines.support.create_ticket(session, tenant_id, team.owner, subject="S", description="D"),
        ):
            with pytest.raises(TenantNotActiveError):
                await write
    await world.suspend(tenant_id, "active")
    async with world.transaction() as session:
        assert (await engines.acceptances.accept(session, invitation_id, token)).success


@pytest.mark.parametrize("status", ["terminated", "archived"])
async def test_a_closed_tenant_is_not_even_read(world: World, status: str) -> None:
    tenant_id, owner = await world.tenant()
    for step in WAY_TO[status]:
        await world.suspend(tenant_id, step)
    async with world.reading() as session:
        with pytest.raises(TenantNotActiveError):
            await world.engines.invitations.list(session, tenant_id, owner)


async def test_onboarding_only_moves_forward(world: World) -> None:
    tenant_id, _ = await world.tenant()
    advance = world.engines.projects.advance_onboarding
    async with world.transaction() as session:
        reached = [
            (await advance(session, tenant_id, state)).onboarding_state for state in (1, 0, 3, 2, 3, 4, 0)
        ]
        assert reached == [1, 1, 3, 3, 3, 4, 4]
        found = await world.engines.projects.get(session, tenant_id, tenant_id)
        assert found is not None
        assert found.value.onboarding_complete
        assert found.version == 4, "a state already passed is no change"
        for state in (-1, 5):
            with pytest.raises(InvalidInputError):
                await advance(session, tenant_id, state)
        with pytest.raises(NotFoundError):
            await advance(session, NOWHERE, 1)


async def test_quotas_can_be_overridden_and_given_back(world: World) -> None:
    tenant_id, _ = await world.tenant()
    override = world.engines.projects.override_quotas
    async with world.transaction() as session:
        own = await override(session, tenant_id, max_workers=7, max_runs_per_day=0)
        assert (own.max_workers, own.max_runs_per_day, own.max_api_keys) == (7, 0, 5)
        back = await override(session, tenant_id, max_workers=None)
        assert (back.max_workers, back.max_runs_per_day) == (3, 0)


async def test_overriding_quotas_with_what_they_are_changes_nothing(world: World) -> None:
    tenant_id, _ = await world.tenant()
    override = world.engines.projects.override_quotas
    async with world.transaction() as session:
        await override(session, tenant_id, max_workers=7)
        before = await world.engines.projects.get(session, tenant_id, tenant_id)
    async with world.transaction() as session:
        await override(session, tenant_id, max_workers=7, max_api_keys=None)
        await override(session, tenant_id)
        await world.engines.projects.change_status(session, tenant_id, "active")
        assert await world.engines.projects.get(session, tenant_id, tenant_id) == before


async def test_a_change_steps_version_and_updated_at(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        before = await world.engines.projects.get(session, tenant_id, tenant_id)
        world.clock.advance(minutes=1)
        await world.engines.projects.override_quotas(session, tenant_id, max_workers=7)
        after = await world.engines.projects.get(session, tenant_id, tenant_id)
    assert before is not None
    assert after is not None
    assert after.version == before.version + 1
    assert after.value.updated_at == world.clock.now


@pytest.mark.parametrize("quotas", [{"max_planets": 1}, {"max_workers": -1}, {"max_workers": 2**31}])
async def test_a_bad_quota_is_refused(world: World, quotas: dict[str, Any]) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.projects.override_quotas(session, tenant_id, **quotas)
        with pytest.raises(NotFoundError):
            await world.engines.projects.override_quotas(session, NOWHERE, max_workers=1)


async def test_the_same_refusal_for_a_foreign_tenant_and_none(world: World) -> None:
    """For every operation by a member of another tenant."""
    team, outsider = await world.team(), await world.team()
    invitation_id, _ = await world.invite(team.tenant_id, team.owner)
    engines, me = world.engines, outsider.owner
    async with world.transaction() as session:
        await engines.ownership.start(session, team.tenant_id, team.owner, team.admin)
    async with world.transaction() as session:
        answers = [
            [
                await refusal(engines.projects.update(session, tenant_id, me, tenant_id, name="N")),
                await refusal(engines.members.update(session, tenant_id, me, user_id, metadata={})),
                await refusal(engines.members.change_role(session, tenant_id, me, user_id, "viewer")),
                await refusal(engines.members.remove(session, tenant_id, me, user_id)),
                await refusal(engines.members.leave(session, tenant_id, me)),
                await refusal(engines.ownership.start(session, tenant_id, me, user_id)),
                await refusal(engines.ownership.get(session, tenant_id, me)),
                await refusal(engines.ownership.accept(session, tenant_id, me)),
                await refusal(engines.ownership.cancel(session, tenant_id, me)),
                await refusal(engines.profiles.get(session, tenant_id, me)),
                await refusal(engines.invitations.invite(session, tenant_id, me, email=world.new_email())),
                await refusal(engines.invitations.list(session, tenant_id, me)),
                await refusal(engines.invitations.resend(session, tenant_id, me, invitation)),
                await refusal(engines.invitations.revoke(session, tenant_id, me, invitation)),
                await refusal(
                    engines.support.create_ticket(session, tenant_id, me, subject="S", description="D")
                ),
            ]
            for tenant_id, user_id, invitation in (
                (team.tenant_id, team.member, invitation_id),
                (NOWHERE, NOBODY, "inv_none"),
            )
        ]
    for foreign, none in itertools.pairwise(answers):
        assert foreign == none


def test_the_event_and_the_result_have_every_quota() -> None:
    names = tuple(field.name for field in fields(TenantQuotasChangedEventData))
    assert names == ("tenant_id", *QUOTAS, "changed_at")
    shown = [field.name for field in fields(ExtendedProjectDetailResult)]
    assert tuple(name for name in shown if name.startswith("max_")) == QUOTAS
