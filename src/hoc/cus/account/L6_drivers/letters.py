"""What an invitation's mail says, read as its token is drawn."""

from datetime import datetime

from sqlalchemy import LargeBinary, select, update

from hoc.cus.account.L5_schemas.records import InvitationLetter
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.statements import NOW, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.tables import invitations, tenants, users

DRAW = (
    update(invitations)
    .where(
        THIS,
        IS_PENDING,
        invitations.c.expires_at > NOW,
        tenants.c.tenant_id == invitations.c.tenant_id,
    )
    .values(token_hash=param("token_hash", LargeBinary))
    .returning(
        invitations.c.email,
        invitations.c.role,
        invitations.c.expires_at,
        tenants.c.name.label("tenant_name"),
        select(users.c.name)
        .where(users.c.user_id == invitations.c.invited_by)
        .scalar_subquery()
        .label("inviter_name"),
    )
)


class SqlLetters:
    async def draw(
        self,
        session: SqlSession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationLetter | None:
        row = await fetch_one(
            session,
            DRAW,
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            token_hash=token_hash,
            now=now,
        )
        if row is None:
            return None
        return InvitationLetter(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=row.tenant_name,
            inviter_name=row.inviter_name,
            expires_at=row.expires_at,
        )
