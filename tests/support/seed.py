"""Rows written to the tables directly, many at a time, and read there."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from support.roles import ROLES

from hoc.cus.account.L5_engines.email_address import email_key
from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_schemas.port_types import EmailAddress, NewAccount, Subject
from hoc.cus.account.L6_drivers.account_inserts import ensure, register
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.tables import metadata
from hoc.database import Database

_SEARCHED = (
    r"' ' || coalesce(u.email_key, lower(u.email)) || E'\n ' || coalesce(u.name_key, '')"
    r" || CASE WHEN octet_length(u.email) > char_length(u.email) THEN E'\n ' || u.email ELSE '' END"
)
_TENANTS = text(
    "WITH created AS ("
    "  INSERT INTO account.tenants (tenant_id, name, slug, max_members)"
    "  SELECT id, id, id, CAST(:seats AS integer)"
    "  FROM unnest(CAST(:ids AS text[])) AS id RETURNING tenant_id"
    "), joined AS ("
    "  INSERT INTO account.memberships (tenant_id, user_id, role, searched)"
    f"  SELECT tenant_id, u.user_id, member.role, {_SEARCHED} FROM created,"
    "  unnest(CAST(:users AS text[]), CAST(:roles AS text[])) AS member (id, role)"
    "  JOIN account.users u ON u.user_id = member.id RETURNING tenant_id, role"
    ") INSERT INTO account.member_counts (tenant_id, role, members)"
    "  SELECT created.tenant_id, kind.role, count(joined.role) FROM created"
    f"  CROSS JOIN unnest(ARRAY{list(ROLES)}) AS kind (role)"
    "  LEFT JOIN joined ON joined.tenant_id = created.tenant_id AND joined.role = kind.role GROUP BY 1, 2"
)
_INVITATION = text(
    "WITH invited AS ("
    "  INSERT INTO account.invitations"
    "  (tenant_id, invitation_id, email, email_key, role, token_hash, invited_by, expires_at, delivery)"
    "  VALUES"
    "  (:tenant_id, :id, :email, :email, :role, :token_hash, :invited_by, now() + interval '1 day', 'sent')"
    "  RETURNING tenant_id, status"
    ") INSERT INTO account.invitation_counts AS kept (tenant_id, status, delivery, invitations)"
    "  SELECT tenant_id, status, '', 1 FROM invited"
    "  ON CONFLICT (tenant_id, status, delivery) DO UPDATE SET invitations = kept.invitations + 1"
)
_WRONG_COUNTS = text(
    "SELECT c.tenant_id, c.role, c.members, count(m.user_id) AS real FROM account.member_counts c"
    " LEFT JOIN account.memberships m ON (m.tenant_id, m.role) = (c.tenant_id, c.role) AND m.is_active"
    " GROUP BY 1, 2, 3"
    " HAVING c.members <> count(m.user_id)"
)
_WRONG_INVITATION_COUNTS = text(
    "SELECT * FROM (SELECT tenant_id, status,"
    "  CASE status WHEN 'pending' THEN '' ELSE coalesce(delivery, '') END AS delivery,"
    "  count(*)::integer AS invitations FROM account.invitations GROUP BY 1, 2, 3) AS real"
    " FULL JOIN (SELECT * FROM account.invitation_counts WHERE invitations <> 0) AS kept"
    " USING (tenant_id, status, delivery, invitations)"
    " WHERE real.tenant_id IS NULL OR kept.tenant_id IS NULL"
)
_OWNERLESS = text(
    "SELECT tenant_id FROM account.tenants t WHERE NOT EXISTS ("
    "  SELECT FROM account.memberships m"
    "  WHERE m.tenant_id = t.tenant_id AND m.role = 'owner' AND m.is_active)"
)
_UNLIKE_THEIR_ACCOUNT = text(
    "SELECT m.tenant_id, m.user_id FROM account.memberships m JOIN account.users u USING (user_id)"
    f" WHERE m.is_active <> u.is_active OR m.searched <> {_SEARCHED}"
)
_WRONG_TOTALS = text(
    "SELECT kept.accounts, kept.active, real.accounts, real.active"
    " FROM (SELECT sum(accounts) AS accounts, sum(active) AS active FROM account.account_totals) kept,"
    " (SELECT count(*) AS accounts, count(*) FILTER (WHERE is_active) AS active FROM account.users) real"
    " WHERE (kept.accounts, kept.active) <> (real.accounts, real.active)"
)


@dataclass(frozen=True, slots=True)
class SeededInvitation:
    """A pending invitation whose mail, with `token`, has been sent."""

    id: str
    token: str
    email: str

    @property
    def accept_path(self) -> str:
        return f"/invitations/{self.id}/accept"


async def add_users(database: Database, count: int) -> list[str]:
    """Active accounts; the address of each is its id ``@example.com``."""
    ids = [f"usr-{uuid.uuid4().hex}" for _ in range(count)]
    addresses = {user_id: f"{user_id}@example.com" for user_id in ids}
    accounts = [
        {"user_id": user_id, "email": address, "email_key": email_key(address), "email_verified": True}
        for user_id, address in addresses.items()
    ]
    async with database.transaction() as session:
        await register(session, accounts)
    return ids


async def add_account(
    session: SqlSession, user_id: str, email: str, *, email_verified: bool, now: datetime
) -> None:
    """An active account without a name."""
    account = NewAccount(
        Subject(user_id, ""), user_id, EmailAddress(email, email_key(email)), None, None, email_verified
    )
    assert await ensure(session, account, now, actor=None)


async def add_tenants(
    database: Database, count: int, members: dict[str, str], *, seats: int | None = None
) -> list[str]:
    """Tenants with the same members each, given as role by user, and with this quota of members."""
    ids = [f"ten-{uuid.uuid4().hex}" for _ in range(count)]
    values = {"ids": ids, "users": list(members), "roles": list(members.values()), "seats": seats}
    async with database.transaction() as session:
        await session.execute(_TENANTS, values)
    return ids


async def add_invitation(
    database: Database, tenant_id: str, invited_by: str, *, email: str | None = None, role: str = "member"
) -> SeededInvitation:
    """An invitation to ``email``, by default an address without an account."""
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


async def delete_all(database: Database) -> None:
    """Leave every table of hoc empty, as a migration does."""
    deletions = "".join(f"DELETE FROM {table};" for table in reversed(metadata.sorted_tables))
    await execute(database, f"DO $$ BEGIN {deletions} END $$")


async def scalar(database: Database, query: str, **values: object) -> object:
    """The first column of the first row."""
    async with database.reading() as session:
        return await session.scalar(text(query), values)


async def execute(database: Database, statement: str, **values: object) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


async def role_of(database: Database, tenant_id: str, user_id: str) -> object:
    """The member's role; None without a membership."""
    query = "SELECT role FROM account.memberships WHERE tenant_id = :tenant_id AND user_id = :user_id"
    return await scalar(database, query, tenant_id=tenant_id, user_id=user_id)


async def owner_count(database: Database, tenant_id: str) -> object:
    query = "SELECT count(*) FROM account.memberships WHERE tenant_id = :tenant_id AND role = 'owner'"
    return await scalar(database, query, tenant_id=tenant_id)


async def damage(database: Database) -> list[str]:
    """A line for each tenant without an owner, each wrong count, and each membership unlike its account."""
    queries = {
        "count": _WRONG_COUNTS,
        "count of invitations": _WRONG_INVITATION_COUNTS,
        "no owner": _OWNERLESS,
        "unlike its account": _UNLIKE_THEIR_ACCOUNT,
        "totals": _WRONG_TOTALS,
    }
    async with database.reading() as session:
        found = [(name, await session.execute(query)) for name, query in queries.items()]
        return [f"{name}: {row}" for name, rows in found for row in rows]


async def add_dead_message(database: Database, message_id: str) -> None:
    """Store a message of ``billing.tested`` that could not be handled."""
    statement = """
        INSERT INTO account.dead_messages (message_id, subject, time, data, reason)
        VALUES (:id, 'billing.tested', now(), '{}', 'wrong')"""
    await execute(database, statement, id=message_id)


async def add_failing_webhook(database: Database, tenant_id: str) -> None:
    """Store the disabled webhook endpoint ``wh_failing``, with attempts, and an event that was set aside."""
    statement = """
        WITH made AS (
          INSERT INTO account.webhook_endpoints
            (tenant_id, endpoint_id, url, status, disabled_reason, secret, sequence, failing_since)
          VALUES (:tenant_id, 'wh_failing', :url, 'disabled', 'failing', 'none', 1, now())
          RETURNING tenant_id, endpoint_id
        ), refused AS (
          INSERT INTO account.webhook_set_aside
            (tenant_id, endpoint_id, event_id, event_type, sequence, set_aside_at, status)
          SELECT tenant_id, endpoint_id, 'e1', 'member.joined', 1, now(), 422 FROM made
        )
        INSERT INTO account.webhook_attempts
          (tenant_id, endpoint_id, attempt_id, event_id, event_type, sequence, status, error, latency_ms)
        SELECT tenant_id, endpoint_id, id, id, type, sequence, status, error, latency_ms
        FROM made, (VALUES
          ('e1', 'member.joined', 1, 422, NULL, 31),
          ('e2', 'member.left', 2, NULL, 'tls', 12),
          ('t1', 'webhook.test', NULL, 204, NULL, 1204)
        ) AS attempted (id, type, sequence, status, error, latency_ms)"""
    url = f"https://hooks.example.com/{'receiver' * 12}"
    await execute(database, statement, tenant_id=tenant_id, url=url)
