"""Renaming and describing a project, its slug, and metadata of tenants and memberships (RFC 7396)."""

from collections.abc import Awaitable
from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, World

from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotAMemberError,
    NotFoundError,
    StaleVersionError,
)

GIVEN: list[dict[str, Any]] = [
    {"name": "  Ädventure ", "description": "Two\nlines"},
    {"slug": "a-slug"},
    {"metadata": {"a": {"b": 1, "c": 2}}},
    {"metadata": {"a": {"c": None}, "d": True}},
    {"description": None},
]


async def test_only_the_given_fields_of_a_project_change(world: World) -> None:
    tenant_id, owner = await world.tenant()
    slug = f"s-{owner[4:]}"
    async with world.transaction() as session:
        before = await world.engines.projects.get(session, tenant_id, tenant_id)
        assert before is not None
        assert before.value.metadata == {}
        changes = [before]
        for given in GIVEN:
            world.clock.advance(minutes=1)
            fields: dict[str, Any] = given | ({"slug": slug} if "slug" in given else {})
            changes.append(
                await world.engines.projects.update(session, tenant_id, owner, tenant_id, **fields)
            )
            assert changes[-1].value.updated_at == world.clock.now
        found = await world.engines.projects.get(session, tenant_id, tenant_id)
    assert found is not None
    assert found == changes[-1]
    assert (found.value.name, found.value.slug, found.value.description) == ("Ädventure", slug, None)
    assert found.value.metadata == {"a": {"b": 1}, "d": True}
    assert [change.version for change in changes] == list(range(1, 7))
    new = (await world.events(tenant_id=tenant_id))[-5:]
    assert {(event.type, event.actor) for event in new} == {("tenant.updated", owner)}
    assert [event.data["updated_fields"] for event in new] == [
        ["name", "description"],
        ["slug"],
        ["metadata"],
        ["metadata"],
        ["description"],
    ]
    assert (new[1].data["name"], new[1].data["slug"]) == ("Ädventure", slug)


async def test_the_same_again_is_no_change_of_a_project(world: World) -> None:
    tenant_id, owner = await world.tenant()
    slug = f"s-{owner[4:]}"
    update = world.engines.projects.update
    same: dict[str, Any] = {"name": "N", "slug": slug, "description": "D", "metadata": {"n": 1}}
    async with world.transaction() as session:
        before = await update(session, tenant_id, owner, tenant_id, **same)
        world.clock.advance(minutes=1)
        unchanging: list[dict[str, Any]] = [
            same,
            {},
            {"metadata": {"n": 1.0, "missing": None}},
            {"name": " N "},
        ]
        for given in unchanging:
            assert await update(session, tenant_id, owner, tenant_id, **given) == before


async def test_a_slug_is_taken_until_it_is_replaced(world: World) -> None:
    (first, ada), (second, eve) = await world.tenant(), await world.tenant()
    wanted = f"w-{ada[4:]}"
    update = world.engines.projects.update
    async with world.transaction() as session:
        await update(session, first, ada, first, slug=wanted)
    async with world.transaction() as session:
        with pytest.raises(ConflictError) as taken:
            await update(session, second, eve, second, name="Not stored", slug=wanted)
        assert taken.value.error == "slug_taken"
        found = await world.engines.projects.get(session, second, second)
        assert found is not None
        assert (found.value.name != "Not stored", found.version) == (True, 1)
        await update(session, first, ada, first, slug=f"{wanted}-2")
        assert (await update(session, second, eve, second, slug=wanted)).value.slug == wanted
    async with world.session() as session:
        await update(session, second, eve, second, slug=f"{wanted}-3")
        await session.rollback()
    async with world.transaction() as session:
        with pytest.raises(ConflictError):
            await update(session, first, ada, first, slug=wanted)
        created = await world.engines.projects.create(session, ada, name="Third", slug=f"{wanted}-3")
        assert created.value.slug == f"{wanted}-3"


async def test_a_stale_version_of_a_project_changes_nothing(world: World) -> None:
    tenant_id, owner = await world.tenant()
    update = world.engines.projects.update
    async with world.transaction() as session:
        current = await update(session, tenant_id, owner, tenant_id, name="Ada")
        for version in (current.version - 1, current.version + 1):
            with pytest.raises(StaleVersionError):
                await update(
                    session, tenant_id, owner, tenant_id, slug=f"s-{owner[4:]}", expected_version=version
                )
            with pytest.raises(StaleVersionError):
                await world.engines.projects.change_status(
                    session, tenant_id, "suspended", expected_version=version
                )
        assert await world.engines.projects.get(session, tenant_id, tenant_id) == current
        named = await update(
            session, tenant_id, owner, tenant_id, name="Eve", expected_version=current.version
        )
        suspended = await world.engines.projects.change_status(
            session, tenant_id, "suspended", expected_version=named.version
        )
        assert (suspended.name, suspended.status) == ("Eve", "suspended")


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"slug": ""},
        {"slug": "A"},
        {"slug": "a" * 64},
        {"description": ""},
        {"description": "x" * 2_001},
        {"metadata": {"a": "\x00"}},
        {"metadata": {"a": 2**64}},
        {"metadata": {"a": "x" * 16_384}},
        {"metadata": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}}},
        {"expected_version": 1.0},
    ],
)
async def test_a_bad_field_of_a_project_is_refused(world: World, given: dict[str, Any]) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.projects.update(session, tenant_id, owner, tenant_id, **given)


async def test_merged_metadata_are_capped_at_16_kib(world: World) -> None:
    """The cap is on the stored text, as of preferences."""
    tenant_id, owner = await world.tenant()
    full = {"a": "é" * 4_000}, {"b": "x" * 8_366}
    async with world.transaction() as session:

        def change(metadata: dict[str, Any]) -> tuple[Awaitable[Any], Awaitable[Any]]:
            return (
                world.engines.projects.update(session, tenant_id, owner, tenant_id, metadata=metadata),
                world.engines.members.update(session, tenant_id, owner, owner, metadata=metadata),
            )

        for part in full:
            for done in change(part):
                await done
        for refused in change({"c": 1}):
            with pytest.raises(InvalidInputError):
                await refused
        for done in change({"a": None, "c": 1}):
            assert (await done).value.metadata == {"b": "x" * 8_366, "c": 1}


async def test_owners_and_admins_change_a_project_and_its_members(world: World) -> None:
    team = await world.team()
    (other_id, outsider), tenant_id = await world.tenant(), team.tenant_id
    projects, members = world.engines.projects, world.engines.members
    async with world.transaction() as session:
        for caller in (team.owner, team.admin):
            assert (await projects.update(session, tenant_id, caller, tenant_id, name=caller)).value.name
            for target in (team.owner, team.admin, team.viewer):
                changed = await members.update(session, tenant_id, caller, target, metadata={"by": caller})
                assert changed.value.metadata == {"by": caller}
        for caller in (team.member, team.viewer):
            with pytest.raises(ForbiddenError):
                await projects.update(session, tenant_id, caller, tenant_id, name="Mine")
            with pytest.raises(ForbiddenError):
                await members.update(session, tenant_id, caller, caller, metadata={})
        for tenant, caller in ((tenant_id, outsider), (NOWHERE, team.owner)):
            with pytest.raises(NotAMemberError):
                await projects.update(session, tenant, caller, tenant, name="Mine")
            with pytest.raises(NotAMemberError):
                await members.update(session, tenant, caller, team.owner, metadata={})
        for project in (other_id, NOWHERE):
            with pytest.raises(NotFoundError):
                await projects.update(session, tenant_id, team.owner, project, name="Mine")
        for target in (outsider, NOBODY):
            with pytest.raises(NotFoundError):
                await members.update(session, tenant_id, team.owner, target, metadata={})


async def test_metadata_of_a_membership_are_of_one_tenant(world: World) -> None:
    tenant_id, owner = await world.tenant()
    other_id, _ = await world.tenant(owner)
    update = world.engines.members.update
    async with world.transaction() as session:
        before = await world.engines.members.get_user(session, tenant_id, owner)
        assert before is not None
        assert before.value.metadata == {}
        world.clock.advance(minutes=1)
        changed = await update(session, tenant_id, owner, owner, metadata={"a": {"b": [1]}})
        assert changed.value.updated_at == world.clock.now
        assert changed.version == before.version + 1
        for same in ({}, {"a": {"b": [1.0]}}, {"missing": None}):
            assert await update(session, tenant_id, owner, owner, metadata=same) == changed
        assert await update(session, tenant_id, owner, owner) == changed
        with pytest.raises(StaleVersionError):
            await update(
                session, tenant_id, owner, owner, metadata={"a": None}, expected_version=before.version
            )
        assert await world.engines.members.get_user(session, tenant_id, owner) == changed
        other = await world.engines.members.get_user(session, other_id, owner)
        assert other is not None
        assert (other.value.metadata, other.version) == ({}, before.version)
