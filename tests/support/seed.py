"""Tenants, members and invitations put straight into the tables, many at a time."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text

from hoc.cus.account.L5_engines.invitations import token_hash
from hoc.database import Database

_USERS = text(
    "INSERT INTO account.users (user_id, email, email_key, email_verified)"
    " SELECT id, id || '@example.com', id || '@example.com', true FROM unnest(CAST(:ids AS text[])) AS id"
)
_TENANTS = text(
    "WITH created AS ("
    "  INSERT INTO account.tenants (tenant_id, name, slug) SELECT id, id, id"
    "  FROM unnest(CAST(:ids AS text[])) AS id RETURNING tenant_id"
    "), joined AS ("
    "  INSERT INTO account.memberships (tenant_id, user_id, role)"
    "  SELECT tenant_id, member.id, member.role FROM created,"
    "  unnest(CAST(:users AS text[]), CAST(:roles AS text[])) AS member (id, role) RETURNING tenant_id, role"
    ") INSERT INTO account.member_counts (tenant_id, role, members)"
    "  SELECT created.tenant_id, kind.role, count(joined.role) FROM created"
    "  CROSS JOIN unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS kind (role)"
    "  LEFT JOIN joined ON joined.tenant_id = created.tenant_id AND joined.role = kind.role GROUP BY 1, 2"
)
_INVITATION = text(
    "INSERT INTO account.invitations"
    " (tenant_id, invitation_id, email, email_key, role, token_hash, invited_by, expires_at)"
    " VALUES (:tenant_id, :id, :email, :email, :role, :token_hash, :invited_by, now() + interval '1 day')"
)
_WRONG_COUNTS = text(
    "SELECT tenant_id, c.role, c.members, count(m.user_id) AS real FROM account.member_counts c"
    " LEFT JOIN account.memberships m USING (tenant_id, role) GROUP BY 1, 2, 3"
    " HAVING c.members <> count(m.user_id)"
)
_OWNERLESS = text(
    "SELECT tenant_id FROM account.tenants t WHERE NOT EXISTS ("
    "  SELECT FROM account.memberships m WHERE m.tenant_id = t.tenant_id AND m.role = 'owner')"
)


@dataclass(frozen=True, slots=True)
class SeededInvitation:
    """A pending invitation whose mail, with `token`, has left."""

    id: str
    token: str
    email: str

    @property
    def accept_path(self) -> str:
        return f"/invitations/{self.id}/accept"


async def add_users(database: Database, count: int) -> list[str]:
    """Active accounts; the address of each is its id ``@example.com``."""
    ids = [f"usr-{uuid.uuid4().hex}" for _ in range(count)]
    async with database.transaction() as session:
        await session.execute(_USERS, {"ids": ids})
    return ids


async def add_tenants(database: Database, count: int, members: dict[str, str]) -> list[str]:
    """Tenants with the same members each, given as role by user."""
    ids = [f"ten-{uuid.uuid4().hex}" for _ in range(count)]
    values = {"ids": ids, "users": list(members), "roles": list(members.values())}
    async with database.transaction() as session:
        await session.execute(_TENANTS, values)
    return ids


async def add_invitation(
    database: Database, tenant_id: str, invited_by: str, *, email: str | None = None, role: str = "member"
) -> SeededInvitation:
    """An invitation to ``email``, or to an address nobody has."""
    token = f"{tenant_id}.{uuid.uuid4().hex}"
    invitation = SeededInvitation(
        f"inv-{uuid.uuid4().hex}", token, email or f"{uuid.uuid4().hex}@example.com"
    )
    values = {
        "tenant_id": tenant_id,
        "id": invitation.id,
        "email": invitation.email,
        "role": role,
        "token_hash": token_hash(token),
        "invited_by": invited_by,
    }
    async with database.transaction() as session:
        await session.execute(_INVITATION, values)
    return invitation


async def scalar(database: Database, query: str, **values: object) -> object:
    """The first column of the first row."""
    async with database.reading() as session:
        return await session.scalar(text(query), values)


async def execute(database: Database, statement: str, **values: object) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


async def role_of(database: Database, tenant_id: str, user_id: str) -> object:
    """The member's role, None for who is no member."""
    query = "SELECT role FROM account.memberships WHERE tenant_id = :tenant_id AND user_id = :user_id"
    return await scalar(database, query, tenant_id=tenant_id, user_id=user_id)


async def owner_count(database: Database, tenant_id: str) -> object:
    query = "SELECT count(*) FROM account.memberships WHERE tenant_id = :tenant_id AND role = 'owner'"
    return await scalar(database, query, tenant_id=tenant_id)


async def damage(database: Database) -> list[str]:
    """Every tenant without an owner, and every member count that is not the real one."""
    async with database.reading() as session:
        wrong = await session.execute(_WRONG_COUNTS)
        ownerless = await session.execute(_OWNERLESS)
        return [f"count: {row}" for row in wrong] + [f"no owner: {row}" for row in ownerless]
