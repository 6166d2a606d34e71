"""What a SCIM client says of a tenant's users, in memory and on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from support.world import MemoryWorld, World

from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.cus.account.L6_drivers.scim_resources import Key, Member, SqlScimResources, Values
from hoc.cus.account.L6_drivers.tables import scim_group_members
from hoc.testing.database import MemorySession
from hoc.testing.provisioning import MemoryDirectories
from hoc.testing.rows import DirectoryUserRow


async def put_user(
    world: World,
    session: Any,
    tenant_id: str,
    resource_id: str,
    *,
    is_active: bool = True,
    groups: Sequence[str] = (),
) -> None:
    """Store a user of the directory, of these groups and no others. Nothing follows from it yet."""
    if isinstance(world, MemoryWorld):
        assert isinstance(session, MemorySession)
        row = DirectoryUserRow(tenant_id, resource_id, is_active, tuple(groups))
        await MemoryDirectories(session.database).put(session, row)
        return
    rows, now = SqlScimResources(), world.clock()
    user = Key("User", tenant_id, resource_id)
    values = Values(resource_id, None, {"userName": resource_id}, {}, is_active=is_active)
    if not await rows.insert(session, user, values, now):
        await rows.update(session, user, values, now)
    await session.execute(
        scim_group_members.delete().where(
            scim_group_members.c.tenant_id == tenant_id, scim_group_members.c.member_id == resource_id
        )
    )
    for name in groups:
        group = Key("Group", tenant_id, f"{resource_id}-{name}")
        await rows.insert(session, group, Values(name.lower(), None, {"displayName": name}, {}), now)
        await rows.set_members(session, group, [Member(resource_id, None, None)])


@dataclass
class Directory:
    """The directory of a tenant, as its SCIM client changes it."""

    world: World
    tenant_id: str
    caller: ScimCaller = field(init=False)

    def __post_init__(self) -> None:
        self.caller = ScimCaller(self.tenant_id, "sct_1")

    async def user(
        self,
        name: str,
        *emails: str,
        is_active: bool = True,
        was_active: bool = False,
        groups: Sequence[str] = (),
    ) -> None:
        async with self.world.transaction() as session:
            provisioning = self.world.engines.provisioning
            await provisioning.begin(session, self.caller)
            await put_user(self.world, session, self.tenant_id, name, is_active=is_active, groups=groups)
            await provisioning.user_written(session, self.caller, name, emails, was_active=was_active)

    async def regroup(self, name: str, *groups: str, is_active: bool = True) -> None:
        async with self.world.transaction() as session:
            provisioning = self.world.engines.provisioning
            await provisioning.begin(session, self.caller)
            await put_user(self.world, session, self.tenant_id, name, is_active=is_active, groups=groups)
            await provisioning.groups_changed(session, self.caller, [name])

    async def remove(self, name: str) -> None:
        async with self.world.transaction() as session:
            await self.world.engines.provisioning.begin(session, self.caller)
            await self.world.engines.provisioning.user_removed(session, self.caller, name)

    async def give(self, owner: str, **roles: Any) -> None:
        """Have groups give roles."""
        async with self.world.transaction() as session:
            for group, role in roles.items():
                await self.world.engines.scim_group_roles.set(
                    session, self.tenant_id, owner, group, role=role
                )

    async def invitations(self, owner: str, status: Any = None) -> list[tuple[str, str, str, str]]:
        """The address, role, status and inviter of each invitation, newest first."""
        async with self.world.reading() as session:
            page = await self.world.engines.invitations.list(session, self.tenant_id, owner, status=status)
        return [(each.email, each.role, each.status, each.invited_by) for each in page.value.invitations]

    async def accept(self, owner: str) -> None:
        """Accept the newest pending invitation by its mail."""
        async with self.world.transaction() as session:
            page = await self.world.engines.invitations.list(session, self.tenant_id, owner, status="pending")
            invitation_id = page.value.invitations[0].id
            token = await self.world.draw(session, self.tenant_id, invitation_id)
            await self.world.engines.acceptances.accept(session, invitation_id, token)
