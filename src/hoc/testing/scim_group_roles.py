"""The roles that groups of tenants' SCIM clients give."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import ScimGroupRoleRemovedEventData, ScimGroupRoleSetEventData
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.scim import ScimGroupRoleResult
from hoc.cus.account.L5_schemas.values import Role
from hoc.testing.database import MemorySession
from hoc.testing.rows import ScimGroupRoleRow, combine
from hoc.testing.store import MemoryStore, slice_of


class MemoryScimGroupRoles(MemoryStore):
    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def count(self, session: MemorySession, tenant_id: str) -> int:
        return sum(owner_id == tenant_id for owner_id, _ in self.read(session).scim_group_roles)

    async def put(
        self,
        session: MemorySession,
        tenant_id: str,
        group: str,
        group_key: str,
        *,
        role: Role,
        now: datetime,
        actor: str,
    ) -> None:
        tables = await self.write(session)
        new = ScimGroupRoleRow(tenant_id, group_key, group, role, created_at=now, updated_at=now)
        row = tables.scim_group_roles.get((tenant_id, group_key))
        if row is not None and (row.group, row.role) == (group, role):
            return
        stored = new if row is None else replace(new, created_at=row.created_at)
        tables.scim_group_roles[tenant_id, group_key] = stored
        tables.record(ScimGroupRoleSetEventData(tenant_id, group, role, set_at=now), actor=actor, at=now)

    async def remove(
        self, session: MemorySession, tenant_id: str, group_key: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        row = tables.scim_group_roles.pop((tenant_id, group_key))
        event = ScimGroupRoleRemovedEventData(tenant_id, row.group, row.role, removed_at=now)
        tables.record(event, actor=actor, at=now)

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window
    ) -> Slice[ScimGroupRoleResult]:
        return slice_of(
            (
                (SortKey(row.created_at, row.group_key), combine(ScimGroupRoleResult, row))
                for row in self.read(session).scim_group_roles.values()
                if row.tenant_id == tenant_id
            ),
            window,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, group_key: str
    ) -> ScimGroupRoleResult | None:
        row = self.read(session).scim_group_roles.get((tenant_id, group_key))
        return None if row is None else combine(ScimGroupRoleResult, row)

    async def roles_by_group(self, session: MemorySession, tenant_id: str) -> Mapping[str, Role]:
        rows = self.read(session).scim_group_roles.values()
        return {row.group_key: row.role for row in rows if row.tenant_id == tenant_id}
