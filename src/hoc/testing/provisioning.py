"""Users of tenants' directories, with the accounts and invitations that are theirs."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.port_types import EmailAddress
from hoc.cus.account.L5_schemas.scim import DirectoryUser
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.invitation_sending import has_expired
from hoc.testing.rows import DirectoryUserRow, InvitationRow
from hoc.testing.store import MemoryStore
from hoc.testing.tables import Tables


class MemoryDirectories(MemoryStore):
    async def put(self, session: MemorySession, row: DirectoryUserRow) -> None:
        """Store what a SCIM client says of a user, in place of what it said before."""
        tables = await self.write(session)
        before = tables.directory_users.get((row.tenant_id, row.resource_id))
        if before is not None:
            row = replace(before, is_active=row.is_active, groups=row.groups)
        tables.directory_users[row.tenant_id, row.resource_id] = row

    async def lock(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def tenant_status(self, session: MemorySession, tenant_id: str) -> TenantStatus | None:
        tenant = self.read(session).tenants.get(tenant_id)
        return None if tenant is None else tenant.status

    async def find(
        self, session: MemorySession, tenant_id: str, resource_ids: Collection[str], now: datetime
    ) -> list[DirectoryUser]:
        tables = self.read(session)
        return [
            _user(tables, tables.directory_users[tenant_id, resource_id], now)
            for resource_id in sorted(resource_ids)
            if (tenant_id, resource_id) in tables.directory_users
        ]

    async def set_address(
        self, session: MemorySession, tenant_id: str, resource_id: str, address: EmailAddress | None
    ) -> None:
        tables = await self.write(session)
        row = tables.directory_users[tenant_id, resource_id]
        key = None if address is None else address.key
        tables.directory_users[tenant_id, resource_id] = replace(row, email_key=key)

    async def link(
        self,
        session: MemorySession,
        tenant_id: str,
        resource_id: str,
        *,
        user_id: str | None,
        invitation_id: str | None,
    ) -> None:
        tables = await self.write(session)
        row = tables.directory_users[tenant_id, resource_id]
        tables.directory_users[tenant_id, resource_id] = replace(
            row, user_id=user_id, invitation_id=invitation_id
        )


def _user(tables: Tables, row: DirectoryUserRow, now: datetime) -> DirectoryUser:
    linked = row.user_id or _accepted_by(tables, row)
    holder = tables.account_by_email(row.email_key)
    if holder is not None and not (holder.is_active and holder.email_verified):
        holder = None
    pending = _pending(tables, row, now)
    return DirectoryUser(
        row.resource_id,
        row.is_active,
        row.email_key,
        user_id=linked or (None if holder is None else holder.user_id),
        was_linked=linked is not None,
        invitation_id=None if pending is None else pending.invitation_id,
        invitation_role=None if pending is None else pending.role,
        groups=row.groups,
    )


def _accepted_by(tables: Tables, row: DirectoryUserRow) -> str | None:
    if row.invitation_id is None:
        return None
    invitation = tables.invitations[row.tenant_id, row.invitation_id]
    return invitation.accepted_user_id if invitation.status == InvitationStatus.ACCEPTED else None


def _pending(tables: Tables, row: DirectoryUserRow, now: datetime) -> InvitationRow | None:
    return next(
        (
            invitation
            for invitation in tables.invitations.values()
            if (invitation.tenant_id, invitation.email_key) == (row.tenant_id, row.email_key)
            and invitation.status == InvitationStatus.PENDING
            and not has_expired(invitation, now)
        ),
        None,
    )
