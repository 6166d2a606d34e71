"""The roles that groups of tenants' SCIM clients give."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import String, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.events import ScimGroupRoleRemovedEventData, ScimGroupRoleSetEventData
from hoc.cus.account.L5_schemas.port_types import Slice, Window
from hoc.cus.account.L5_schemas.scim import ScimGroupRoleResult
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import scim_group_roles

KEY = param("group_key", String)
OF_TENANT = scim_group_roles.c.tenant_id == TENANT
RESULT = (
    scim_group_roles.c.group_name.label("group"),
    scim_group_roles.c.role,
    scim_group_roles.c.created_at,
    scim_group_roles.c.updated_at,
)
CHANGED = (
    scim_group_roles.c.tenant_id,
    scim_group_roles.c.group_name.label("group"),
    scim_group_roles.c.role,
)

COUNT = select(func.count().label("groups")).select_from(scim_group_roles).where(OF_TENANT)


def _put() -> AnySelect:
    inserted = insert(scim_group_roles).values(
        tenant_id=TENANT,
        group_key=KEY,
        group_name=param("group_name", String),
        role=param("role", String),
        created_at=NOW,
        updated_at=NOW,
    )
    given = inserted.excluded
    put = (
        inserted.on_conflict_do_update(
            index_elements=[scim_group_roles.c.tenant_id, scim_group_roles.c.group_key],
            set_={
                "group_name": given.group_name,
                "role": given.role,
                "updated_at": given.updated_at,
            },
            where=(scim_group_roles.c.role != given.role)
            | (scim_group_roles.c.group_name != given.group_name),
        )
        .returning(*CHANGED)
        .cte("put")
    )
    return select(put.c.group).add_cte(recorded(ScimGroupRoleSetEventData, put))


PUT = _put()


def _remove() -> AnySelect:
    removed = delete(scim_group_roles).where(OF_TENANT, scim_group_roles.c.group_key == KEY)
    gone = removed.returning(*CHANGED).cte("removed")
    return select(gone.c.group).add_cte(recorded(ScimGroupRoleRemovedEventData, gone))


REMOVE = _remove()
PAGE = Paged(
    select(*RESULT).where(OF_TENANT),
    at=scim_group_roles.c.created_at,
    row_id=scim_group_roles.c.group_key,
    total=select(func.count()).select_from(scim_group_roles).where(OF_TENANT).scalar_subquery(),
)
FIND = select(*RESULT).where(OF_TENANT, scim_group_roles.c.group_key == KEY)
BY_GROUP = select(scim_group_roles.c.group_key, scim_group_roles.c.role).where(OF_TENANT)

_result = record_of(ScimGroupRoleResult, FIND, PAGE)


class SqlScimGroupRoles:
    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def count(self, session: SqlSession, tenant_id: str) -> int:
        [row] = await fetch_all(session, COUNT, tenant_id=tenant_id)
        counted: int = row.groups
        return counted

    async def put(
        self,
        session: SqlSession,
        tenant_id: str,
        group: str,
        group_key: str,
        *,
        role: Role,
        now: datetime,
        actor: str,
    ) -> None:
        await fetch_one(
            session,
            PUT,
            tenant_id=tenant_id,
            group_name=group,
            group_key=group_key,
            role=role,
            now=now,
            actor=actor,
        )

    async def remove(
        self, session: SqlSession, tenant_id: str, group_key: str, now: datetime, *, actor: str
    ) -> None:
        await fetch_one(session, REMOVE, tenant_id=tenant_id, group_key=group_key, now=now, actor=actor)

    async def page(self, session: SqlSession, tenant_id: str, window: Window) -> Slice[ScimGroupRoleResult]:
        return await PAGE.fetch(session, window, _result, tenant_id=tenant_id)

    async def find(self, session: SqlSession, tenant_id: str, group_key: str) -> ScimGroupRoleResult | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, group_key=group_key)
        return None if row is None else _result(row)

    async def roles_by_group(self, session: SqlSession, tenant_id: str) -> Mapping[str, Role]:
        rows = await fetch_all(session, BY_GROUP, tenant_id=tenant_id)
        return {row.group_key: Role(row.role) for row in rows}
