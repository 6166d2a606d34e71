"""Finding and locking a person: the account, and the rows of others that are about it."""

from sqlalchemy import case, exists, or_, select

from hoc.cus.account.L5_schemas.erasure import LockedPerson
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.account_status import TENANTS_OF
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_each, fetch_one
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, USER, any_of
from hoc.cus.account.L6_drivers.invitation_mail import HOLD as LOCK_INVITATION
from hoc.cus.account.L6_drivers.invitation_sending import EMAIL_KEY
from hoc.cus.account.L6_drivers.scim_resources import LOCK_DIRECTORY
from hoc.cus.account.L6_drivers.tables import (
    email_changes,
    invitations,
    member_counts,
    memberships,
    scim_users,
    support_tickets,
    users,
)
from hoc.cus.account.L6_drivers.tickets import LOCK as LOCK_TICKET

_other = users.alias("other")
# An address that another account has by now is not the person's any more.
FIND = select(
    users.c.user_id,
    users.c.email,
    case(
        (
            ~exists().where(
                _other.c.email_key == users.c.email_key,
                _other.c.deleted_at.is_(None),
                _other.c.user_id != users.c.user_id,
            ),
            users.c.email_key,
        )
    ).label("email_key"),
    select(email_changes.c.email_key)
    .where(email_changes.c.user_id == users.c.user_id)
    .scalar_subquery()
    .label("new_email_key"),
).where(users.c.user_id == USER)

INVITATIONS_OF = (
    select(invitations.c.tenant_id, invitations.c.invitation_id, invitations.c.email_key)
    .where(or_(invitations.c.accepted_user_id == USER, invitations.c.email_key == EMAIL_KEY))
    .order_by(invitations.c.tenant_id, invitations.c.invitation_id)
)
DIRECTORY_USERS_OF = (
    select(scim_users.c.tenant_id, scim_users.c.resource_id)
    .where(or_(scim_users.c.user_id == USER, any_of(scim_users.c.email_key, "email_keys")))
    .order_by(scim_users.c.tenant_id, scim_users.c.resource_id)
)
TICKETS_OF = (
    select(support_tickets.c.tenant_id, support_tickets.c.ticket_id)
    .where(support_tickets.c.user_id == USER)
    .order_by(support_tickets.c.tenant_id, support_tickets.c.ticket_id)
)

LOCK = (
    select(users.c.user_id, users.c.email_key, users.c.deleted_at, users.c.erased_at)
    .where(users.c.user_id == USER)
    .with_for_update(key_share=True)
)

ONLY_OWNER_OF = (
    select(memberships.c.tenant_id)
    .join(
        member_counts,
        (member_counts.c.tenant_id == memberships.c.tenant_id) & (member_counts.c.role == memberships.c.role),
    )
    .where(
        memberships.c.user_id == USER,
        memberships.c.is_active,
        memberships.c.role == Role.OWNER,
        member_counts.c.members == 1,
    )
    .order_by(memberships.c.tenant_id)
)


async def lock_person(session: SqlSession, user_id: str) -> LockedPerson | None:
    """Lock the account and what it shares with others, in the order of whoever accepts, answers or joins.

    None: there is no account with this id. The id is compared alone: after an erasure, the subject of the
    same text may be linked to another account.
    """
    found = await fetch_one(session, FIND, user_id=user_id)
    if found is None:
        return None
    received = await fetch_all(session, INVITATIONS_OF, user_id=user_id, email_key=found.email_key)
    keys = addresses_of(found, received)
    described = await fetch_all(session, DIRECTORY_USERS_OF, user_id=user_id, email_keys=keys)
    await fetch_each(session, LOCK_DIRECTORY, [{"tenant_id": each} for each in sorted(tenant_ids(described))])
    await fetch_each(session, LOCK_INVITATION, [invitation_key(row) for row in received])
    opened = await fetch_all(session, TICKETS_OF, user_id=user_id)
    await fetch_each(session, LOCK_TICKET, [ticket_key(row) for row in opened])
    [account] = await fetch_all(session, LOCK, user_id=user_id)
    tenants = await fetch_all(session, TENANTS_OF, user_id=user_id)
    await fetch_each(session, LOCK_TENANT, [{"tenant_id": row.tenant_id} for row in tenants])
    only_owner = await fetch_all(session, ONLY_OWNER_OF, user_id=user_id)
    only_owner_of = [row.tenant_id for row in only_owner]
    return LockedPerson(user_id, account.deleted_at, account.erased_at, only_owner_of)


def addresses_of(found: AnyRow, received: list[AnyRow]) -> list[str]:
    """The keys of the address that `FIND` has found, and of those that `INVITATIONS_OF` went to."""
    return sorted({key for key in (found.email_key, *(row.email_key for row in received)) if key})


def tenant_ids(rows: list[AnyRow]) -> set[str]:
    return {row.tenant_id for row in rows}


def invitation_key(row: AnyRow) -> dict[str, str]:
    return {"tenant_id": row.tenant_id, "invitation_id": row.invitation_id}


def ticket_key(row: AnyRow) -> dict[str, str]:
    return {"tenant_id": row.tenant_id, "ticket_id": row.ticket_id}
