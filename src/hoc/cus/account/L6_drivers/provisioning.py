"""Users of tenants' directories, with the accounts and invitations that are theirs."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, Text, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from hoc.cus.account.L5_schemas.port_types import EmailAddress
from hoc.cus.account.L5_schemas.scim import DirectoryUser
from hoc.cus.account.L5_schemas.values import InvitationStatus, Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.scim_resources import LOCK_DIRECTORY, RESOURCE_ID
from hoc.cus.account.L6_drivers.tables import (
    invitations,
    scim_group_members,
    scim_groups,
    scim_users,
    tenants,
    users,
)

STATUS = select(tenants.c.status).where(tenants.c.tenant_id == TENANT)
THIS_USER = (scim_users.c.tenant_id == TENANT) & (scim_users.c.resource_id == RESOURCE_ID)


def _word(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'", Text)


def _pending(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Of the invitation to the user's address that can still be accepted; there is one at most."""
    return (
        select(column)
        .where(
            invitations.c.tenant_id == TENANT,
            invitations.c.email_key == scim_users.c.email_key,
            invitations.c.status == _word(InvitationStatus.PENDING),
            invitations.c.expires_at > NOW,
        )
        .scalar_subquery()
    )


_ACCEPTED_BY = (
    select(invitations.c.accepted_user_id)
    .where(
        invitations.c.tenant_id == TENANT,
        invitations.c.invitation_id == scim_users.c.invitation_id,
        invitations.c.status == _word(InvitationStatus.ACCEPTED),
    )
    .scalar_subquery()
)
_HOLDER = (
    select(users.c.user_id)
    .where(
        users.c.email_key == scim_users.c.email_key,
        users.c.email_verified,
        users.c.is_active,
        users.c.deleted_at.is_(None),
    )
    .scalar_subquery()
)
_LINKED = func.coalesce(scim_users.c.user_id, _ACCEPTED_BY)
_GROUPS = (
    select(func.array_agg(scim_groups.c.resource.op("->>")(_word("displayName"))))
    .select_from(
        scim_group_members.join(
            scim_groups,
            (scim_groups.c.tenant_id == TENANT)
            & (scim_groups.c.resource_id == scim_group_members.c.group_id),
        )
    )
    .where(
        scim_group_members.c.tenant_id == TENANT, scim_group_members.c.member_id == scim_users.c.resource_id
    )
    .scalar_subquery()
)

FIND = (
    select(
        scim_users.c.resource_id,
        scim_users.c.is_active,
        scim_users.c.email_key,
        func.coalesce(_LINKED, _HOLDER).label("user_id"),
        _LINKED.is_not(None).label("was_linked"),
        _pending(invitations.c.invitation_id).label("invitation_id"),
        _pending(invitations.c.role).label("invitation_role"),
        _GROUPS.label("groups"),
    )
    .where(
        scim_users.c.tenant_id == TENANT,
        scim_users.c.resource_id == func.any(param("resource_ids", ARRAY(String))),
    )
    .order_by(scim_users.c.resource_id)
)
SET_ADDRESS = (
    update(scim_users)
    .where(THIS_USER)
    .values(email=param("email", String), email_key=param("email_key", String))
    .returning(scim_users.c.resource_id)
)
LINK = (
    update(scim_users)
    .where(THIS_USER)
    .values(user_id=param("user_id", String), invitation_id=param("invitation_id", String))
    .returning(scim_users.c.resource_id)
)


class SqlDirectories:
    async def lock(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_DIRECTORY, tenant_id=tenant_id)

    async def tenant_status(self, session: SqlSession, tenant_id: str) -> TenantStatus | None:
        row = await fetch_one(session, STATUS, tenant_id=tenant_id)
        return None if row is None else TenantStatus(row.status)

    async def find(
        self, session: SqlSession, tenant_id: str, resource_ids: Collection[str], now: datetime
    ) -> list[DirectoryUser]:
        rows = await fetch_all(session, FIND, tenant_id=tenant_id, resource_ids=list(resource_ids), now=now)
        return [_user(row) for row in rows]

    async def set_address(
        self, session: SqlSession, tenant_id: str, resource_id: str, address: EmailAddress | None
    ) -> None:
        await fetch_one(
            session,
            SET_ADDRESS,
            tenant_id=tenant_id,
            resource_id=resource_id,
            email=None if address is None else address.given,
            email_key=None if address is None else address.key,
        )

    async def link(
        self,
        session: SqlSession,
        tenant_id: str,
        resource_id: str,
        *,
        user_id: str | None,
        invitation_id: str | None,
    ) -> None:
        await fetch_one(
            session,
            LINK,
            tenant_id=tenant_id,
            resource_id=resource_id,
            user_id=user_id,
            invitation_id=invitation_id,
        )


def _user(row: AnyRow) -> DirectoryUser:
    return DirectoryUser(
        resource_id=row.resource_id,
        is_active=row.is_active,
        email_key=row.email_key,
        user_id=row.user_id,
        was_linked=row.was_linked,
        invitation_id=row.invitation_id,
        invitation_role=None if row.invitation_role is None else Role(row.invitation_role),
        groups=tuple(row.groups or ()),
    )
