"""Activating, deactivating and deleting an account, together with its memberships and the counts."""

from datetime import datetime

from sqlalchemy import Boolean, String, case, func, literal, literal_column, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.errors import LimitExceededError, StaleVersionError
from hoc.cus.account.L5_schemas.events import UserDeletedEventData, UserStatusChangedEventData
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT
from hoc.cus.account.L6_drivers.account_inserts import SHARD, any_shard
from hoc.cus.account.L6_drivers.execution import (
    AnySelect,
    SqlSession,
    fetch_all,
    fetch_each,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, LOCK_TENANT, NOW, USER, quota
from hoc.cus.account.L6_drivers.outbox import ACTOR, recorded
from hoc.cus.account.L6_drivers.seats import seats
from hoc.cus.account.L6_drivers.tables import account_totals, member_counts, memberships, tenants, users

IS_ACTIVE = param("is_active", Boolean)
IS_DELETED = param("is_deleted", Boolean)
REASON = param("reason", String)
SYSTEM = literal_column("'system'", String)

LOCK = (
    select(users.c.user_id, users.c.version)
    .where(users.c.user_id == ACCOUNT, users.c.erased_at.is_(None))
    .with_for_update(key_share=True)
)

# Read before the tenants are locked one by one: Citus locks rows of one shard in a statement. While the
# account is locked, it joins no further tenant. In one order, so that two such changes cannot deadlock.
TENANTS_OF = (
    select(memberships.c.tenant_id).where(memberships.c.user_id == USER).order_by(memberships.c.tenant_id)
)

FULL_TENANT = (
    select(tenants.c.tenant_id, quota("max_members"))
    .select_from(tenants.join(memberships))
    .where(
        memberships.c.user_id == USER,
        ~memberships.c.is_active,
        tenants.c.status.not_in(CLOSED_TENANT),
        seats(tenants.c.tenant_id) >= quota("max_members"),
    )
    .order_by(tenants.c.tenant_id)
    .limit(literal_column("1"))
)
"""A tenant without a free seat for the account, whose membership has none while it is inactive."""


def _set_active() -> AnySelect:
    """Changes the account, the totals, its memberships and their counts in one statement."""
    delta = case((IS_ACTIVE, literal(1)), else_=literal(-1))
    before = select(users.c.user_id, users.c.is_active).where(users.c.user_id == USER).cte("before")
    changed = (
        update(users)
        .where(
            users.c.user_id == before.c.user_id,
            or_(users.c.is_active != IS_ACTIVE, users.c.deleted_at.is_(None) & IS_DELETED),
        )
        .values(
            is_active=IS_ACTIVE,
            deleted_at=case((IS_ACTIVE, null()), (IS_DELETED, NOW), else_=users.c.deleted_at),
            version=users.c.version + 1,
            updated_at=NOW,
        )
        .returning(users.c.user_id, users.c.email, before.c.is_active.label("was_active"))
        .cte("changed")
    )
    flipped = select(changed.c.user_id).where(changed.c.was_active != IS_ACTIVE).cte("flipped")
    totals = insert(account_totals).from_select(
        ["shard", "accounts", "active"], select(SHARD, literal(0), delta).select_from(flipped)
    )
    counted = totals.on_conflict_do_update(
        index_elements=[account_totals.c.shard],
        set_={"active": account_totals.c.active + totals.excluded.active},
    ).cte("counted")
    moved = (
        update(memberships)
        .where(memberships.c.user_id == flipped.c.user_id)
        .values(is_active=IS_ACTIVE)
        .returning(memberships.c.tenant_id, memberships.c.role)
        .cte("moved")
    )
    members = (
        update(member_counts)
        .where(member_counts.c.tenant_id == moved.c.tenant_id, member_counts.c.role == moved.c.role)
        .values(members=member_counts.c.members + delta)
        .cte("members")
    )
    deleted = recorded(UserDeletedEventData, changed, IS_DELETED, reason=REASON)
    status_changed = recorded(
        UserStatusChangedEventData,
        changed,
        ~IS_DELETED,
        reason=REASON,
        is_active=IS_ACTIVE,
        changed_by=func.coalesce(ACTOR, SYSTEM),
    )
    return select(changed.c.user_id).add_cte(counted, moved, members, deleted, status_changed)


SET_ACTIVE = _set_active()


async def set_status(
    session: SqlSession,
    user_id: str,
    *,
    is_active: bool,
    is_deleted: bool,
    now: datetime,
    reason: str | None,
    actor: str | None,
    expected_version: int | None,
) -> bool:
    """False: there is no such account. Raises StaleVersionError or LimitExceededError.

    Can deadlock with accepting an invitation, which locks account_totals before member_counts, and
    `SET_ACTIVE` in the other order: the loser has to begin again.
    """
    account = await fetch_one(session, LOCK, user_id=user_id)
    if account is None:
        return False
    if expected_version not in {None, account.version}:
        raise StaleVersionError.of_account()
    joined = await fetch_all(session, TENANTS_OF, user_id=account.user_id)
    await fetch_each(session, LOCK_TENANT, [{"tenant_id": each.tenant_id} for each in joined])
    if is_active and (full := await fetch_one(session, FULL_TENANT, user_id=account.user_id, now=now)):
        raise LimitExceededError.of_seats(full.tenant_id, full.max_members)
    await fetch_one(
        session,
        SET_ACTIVE,
        user_id=account.user_id,
        is_active=is_active,
        is_deleted=is_deleted,
        now=now,
        reason=reason,
        actor=actor,
        shard=any_shard(),
    )
    return True
