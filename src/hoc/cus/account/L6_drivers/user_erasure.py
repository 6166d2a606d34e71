"""Erasing a person: an empty account of the same id stays, to which tickets and events refer."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    String,
    cast,
    delete,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.erasure import ErasedUser, LockedPerson
from hoc.cus.account.L5_schemas.events import (
    MemberRemovedEventData,
    TenantTransferCanceledEventData,
    UserDeletedEventData,
    UserErasedEventData,
)
from hoc.cus.account.L6_drivers.account_inserts import SHARD, any_shard
from hoc.cus.account.L6_drivers.erased_texts import (
    BLANK_ANSWERS,
    DROP_DEAD_MESSAGES,
    DROP_INVITATION_MAIL,
    DROP_LIMITS,
    DROP_TICKET_MAIL,
    EMPTY,
    EMPTY_INVITATION,
    EMPTY_OWN_REPLIES,
    EMPTY_RECEIVED_REPLIES,
    EMPTY_TICKETS,
    REVOKE_AND_EMPTY,
)
from hoc.cus.account.L6_drivers.event_blanking import (
    blank_events_of_invitation,
    blank_events_of_user,
    hold_sequencing,
)
from hoc.cus.account.L6_drivers.execution import (
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_all,
    fetch_each,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, USER
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.person_locking import (
    DIRECTORY_USERS_OF,
    FIND,
    INVITATIONS_OF,
    addresses_of,
    invitation_key,
    lock_person,
    tenant_ids,
    ticket_key,
)
from hoc.cus.account.L6_drivers.scim_resources import USERS as DIRECTORY_USERS
from hoc.cus.account.L6_drivers.tables import (
    account_mails,
    account_totals,
    domain_mails,
    email_changes,
    events,
    join_requests,
    linked_identities,
    member_counts,
    memberships,
    outbox,
    ownership_transfers,
    users,
    webhook_mails,
)

ANSWERS_KEPT: Final = timedelta(days=2)
"""Longer than answers are kept, because the clocks of servers differ."""
NO_TENANT: Final = ""
"""What stored answers have that are of no tenant."""

SINCE = param("since", DateTime(timezone=True))
# Stored answers are kept for a day, so a person who left before that is in none.
RECENT_TENANTS_OF = union(
    *(
        select(table.c.tenant_id).where(
            table.c.user_id == USER, table.c.time > SINCE, table.c.tenant_id.is_not(None)
        )
        for table in (outbox, events)
    )
)


def _end_memberships() -> AnySelect:
    ended = (
        delete(memberships)
        .where(memberships.c.user_id == USER)
        .returning(
            memberships.c.tenant_id, memberships.c.user_id, memberships.c.role, memberships.c.is_active
        )
        .cte("ended")
    )
    counted = (
        update(member_counts)
        .where(
            member_counts.c.tenant_id == ended.c.tenant_id,
            member_counts.c.role == ended.c.role,
            ended.c.is_active,
        )
        .values(members=member_counts.c.members - 1)
        .cte("counted")
    )
    return select(ended.c.tenant_id).add_cte(counted, recorded(MemberRemovedEventData, ended))


END_MEMBERSHIPS = _end_memberships()


def _cancel_transfer() -> AnySelect:
    canceled = (
        delete(ownership_transfers)
        .where(
            ownership_transfers.c.tenant_id == TENANT,
            or_(ownership_transfers.c.from_user_id == USER, ownership_transfers.c.to_user_id == USER),
        )
        .returning(*ownership_transfers.c)
        .cte("canceled")
    )
    ended = recorded(TenantTransferCanceledEventData, canceled, about_user=canceled.c.to_user_id)
    return select(canceled.c.tenant_id).add_cte(ended)


CANCEL_TRANSFER = _cancel_transfer()

# What belongs to the account alone.
DROP = {
    table.name: delete(table).where(table.c.user_id == USER).returning(table.c.user_id)
    for table in (linked_identities, email_changes, account_mails, join_requests, domain_mails, webhook_mails)
}


def _empty_account() -> AnySelect:
    before = (
        select(users.c.user_id, users.c.is_active, users.c.deleted_at)
        .where(users.c.user_id == USER, users.c.erased_at.is_(None))
        .cte("before")
    )
    emptied = (
        update(users)
        .where(users.c.user_id == before.c.user_id)
        .values(
            email=EMPTY,
            email_key=None,
            name=None,
            name_key=None,
            preferences=literal_column("'{}'::jsonb", JSONB),
            avatar_url=None,
            timezone=None,
            locale=None,
            email_verified=False,
            oauth_provider=None,
            last_login_at=None,
            is_active=False,
            deleted_at=func.coalesce(users.c.deleted_at, NOW),
            erased_at=NOW,
            version=users.c.version + 1,
            updated_at=NOW,
        )
        .returning(
            users.c.user_id,
            before.c.is_active.label("was_active"),
            before.c.deleted_at.label("deleted_before"),
        )
        .cte("emptied")
    )
    totals = insert(account_totals).from_select(
        ["shard", "accounts", "active"],
        select(SHARD, literal(0), literal(-1)).select_from(emptied).where(emptied.c.was_active),
    )
    counted = totals.on_conflict_do_update(
        index_elements=[account_totals.c.shard],
        set_={"active": account_totals.c.active + totals.excluded.active},
    ).cte("counted")
    nothing = cast(null(), String)
    deleted = recorded(
        UserDeletedEventData, emptied, emptied.c.deleted_before.is_(None), email=nothing, reason=nothing
    )
    return select(emptied.c.user_id).add_cte(counted, deleted)


EMPTY_ACCOUNT = _empty_account()


def _record_erasure() -> AnySelect:
    """By itself, so that it is behind every other event of the erasure."""
    erased = select(users.c.user_id, users.c.erased_at).where(users.c.user_id == USER).cte("erased")
    return select(erased.c.erased_at).add_cte(recorded(UserErasedEventData, erased))


RECORD_ERASURE = _record_erasure()

ERASED = (
    select(users.c.user_id, users.c.erased_at)
    .where(users.c.erased_at.is_not(None))
    .order_by(users.c.erased_at, users.c.user_id)
)


class SqlUserErasure:
    """In the caller's transaction."""

    async def lock(self, session: SqlSession, user_id: str) -> LockedPerson | None:
        """Lock the account with exactly this id, in any state, and what it shares with others."""
        return await lock_person(session, user_id)

    async def erase(self, session: SqlSession, user_id: str, now: datetime, *, actor: str | None) -> None:
        """Erase a locked person. Of one who was erased before, only what has come up since is erased."""
        found = await fetch_one(session, FIND, user_id=user_id)
        if found is None:
            return
        invited = await fetch_all(session, INVITATIONS_OF, user_id=user_id, email_key=found.email_key)
        recent = await fetch_all(session, RECENT_TENANTS_OF, user_id=user_id, since=now - ANSWERS_KEPT)
        await hold_sequencing(session)
        await blank_events_of_user(session, user_id)
        for row in invited:
            await blank_events_of_invitation(session, row.tenant_id, row.invitation_id)
        left = await fetch_all(session, END_MEMBERSHIPS, user_id=user_id, now=now, actor=actor)
        in_tenants = [{"tenant_id": tenant_id, "user_id": user_id} for tenant_id in tenant_ids(left)]
        await fetch_each(
            session, CANCEL_TRANSFER, [each | {"now": now, "actor": actor} for each in in_tenants]
        )
        await self._empty_invitations(session, [invitation_key(row) for row in invited], now, actor)
        keys = addresses_of(found, invited)
        described = await fetch_all(session, DIRECTORY_USERS_OF, user_id=user_id, email_keys=keys)
        await fetch_each(session, DIRECTORY_USERS.delete, [_directory_user(row, now) for row in described])
        tickets = await self._empty_tickets(session, user_id)
        for statement in DROP.values():
            await fetch_all(session, statement, user_id=user_id)
        if found.email:
            await fetch_all(session, DROP_DEAD_MESSAGES, email=found.email)
        for key in {found.new_email_key, *keys}:
            await fetch_all(session, DROP_LIMITS, email_key=key)
        answering = {
            NO_TENANT,
            *tenant_ids(left),
            *tenant_ids(invited),
            *tenant_ids(recent),
            *tenant_ids(tickets),
        }
        await fetch_each(session, BLANK_ANSWERS, [{"tenant_id": each} for each in sorted(answering)])
        values = {"user_id": user_id, "now": now, "actor": actor}
        if await fetch_one(session, EMPTY_ACCOUNT, **values, shard=any_shard()):
            await fetch_one(session, RECORD_ERASURE, **values)

    async def erased(self, session: SqlSession) -> list[ErasedUser]:
        """Everybody who was erased, in the order of the erasures."""
        return [ErasedUser(row.user_id, row.erased_at) for row in await fetch_all(session, ERASED)]

    @staticmethod
    async def _empty_invitations(
        session: SqlSession, invited: list[dict[str, str]], now: datetime, actor: str | None
    ) -> None:
        await fetch_each(session, DROP_INVITATION_MAIL, invited)
        await fetch_each(session, REVOKE_AND_EMPTY, [each | {"now": now, "actor": actor} for each in invited])
        await fetch_each(session, EMPTY_INVITATION, invited)

    @staticmethod
    async def _empty_tickets(session: SqlSession, user_id: str) -> list[AnyRow]:
        await fetch_all(session, EMPTY_OWN_REPLIES, user_id=user_id)
        await fetch_all(session, EMPTY_RECEIVED_REPLIES, user_id=user_id)
        tickets = await fetch_all(session, EMPTY_TICKETS, user_id=user_id)
        await fetch_each(session, DROP_TICKET_MAIL, [ticket_key(row) for row in tickets])
        return tickets


def _directory_user(row: AnyRow, now: datetime) -> dict[str, object]:
    return {"tenant_id": row.tenant_id, "resource_id": row.resource_id, "now": now}
