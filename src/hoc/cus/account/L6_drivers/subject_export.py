"""What is held about a person, as JSON: the rows of every table that has something of theirs."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, exists, or_, select, union

from hoc.cus.account.L5_schemas.erasure import UserExport
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.exported_rows import shown
from hoc.cus.account.L6_drivers.fragments import USER, any_of
from hoc.cus.account.L6_drivers.invitation_sending import EMAIL_KEY
from hoc.cus.account.L6_drivers.person_locking import FIND, INVITATIONS_OF, addresses_of
from hoc.cus.account.L6_drivers.tables import (
    account_mails,
    domain_mails,
    email_changes,
    events,
    idempotency_keys,
    invitations,
    join_requests,
    linked_identities,
    memberships,
    outbox,
    ownership_transfers,
    scim_group_members,
    scim_users,
    support_tickets,
    ticket_replies,
    users,
    webhook_mails,
)
from hoc.cus.account.L6_drivers.user_erasure import NO_TENANT


def _rows(table: Table, *which: ColumnElement[bool]) -> AnySelect:
    return select(shown(table).label("row")).select_from(table).where(*which).order_by(*table.primary_key)


ACCOUNT = _rows(users, users.c.user_id == USER)
OWN_ROWS: Final = {
    "identities": _rows(linked_identities, linked_identities.c.user_id == USER),
    "email_changes": _rows(email_changes, email_changes.c.user_id == USER),
    "memberships": _rows(memberships, memberships.c.user_id == USER),
    "join_requests": _rows(join_requests, join_requests.c.user_id == USER),
    "ownership_transfers": _rows(
        ownership_transfers,
        or_(ownership_transfers.c.from_user_id == USER, ownership_transfers.c.to_user_id == USER),
    ),
    "tickets": _rows(support_tickets, support_tickets.c.user_id == USER),
    "ticket_replies": _rows(
        ticket_replies,
        or_(
            ticket_replies.c.author_id == USER,
            exists().where(
                support_tickets.c.tenant_id == ticket_replies.c.tenant_id,
                support_tickets.c.ticket_id == ticket_replies.c.ticket_id,
                support_tickets.c.user_id == USER,
            ),
        ),
    ),
    "account_mails": _rows(account_mails, account_mails.c.user_id == USER),
    "domain_mails": _rows(domain_mails, domain_mails.c.user_id == USER),
    "webhook_mails": _rows(webhook_mails, webhook_mails.c.user_id == USER),
}
_DESCRIBES_THEM: Final = or_(scim_users.c.user_id == USER, any_of(scim_users.c.email_key, "email_keys"))
INVITATIONS = _rows(
    invitations, or_(invitations.c.accepted_user_id == USER, invitations.c.email_key == EMAIL_KEY)
)
IN_DIRECTORIES: Final = {
    "directory_users": _rows(scim_users, _DESCRIBES_THEM),
    "directory_groups": _rows(
        scim_group_members,
        exists().where(
            scim_users.c.tenant_id == scim_group_members.c.tenant_id,
            scim_users.c.resource_id == scim_group_members.c.member_id,
            _DESCRIBES_THEM,
        ),
    ),
}
STORED_ANSWERS = _rows(
    idempotency_keys, any_of(idempotency_keys.c.tenant_id, "tenant_ids"), idempotency_keys.c.principal == USER
)
TENANTS_IN_EVENTS = union(
    *(
        select(table.c.tenant_id).where(table.c.user_id == USER, table.c.tenant_id.is_not(None))
        for table in (outbox, events)
    )
)
# An event moves from the first to the second table, and is in one of them.
_EVENTS: Final = (outbox, events)
EVENTS_ABOUT = {table.name: _rows(table, table.c.user_id == USER) for table in _EVENTS}
EVENTS_BY = {
    table.name: _rows(
        table,
        any_of(table.c.tenant_id, "tenant_ids"),
        table.c.actor == USER,
        table.c.user_id.is_distinct_from(USER),
    )
    for table in _EVENTS
}


class SqlSubjectExport:
    async def export(self, session: SqlSession, user_id: str, now: datetime) -> UserExport | None:
        """All that is held about the account with exactly this id. None: there is no such account."""
        account = await fetch_one(session, ACCOUNT, user_id=user_id)
        found = await fetch_one(session, FIND, user_id=user_id)
        if account is None or found is None:
            return None
        own = {name: await self._rows(session, each, user_id=user_id) for name, each in OWN_ROWS.items()}
        invited = await self._rows(session, INVITATIONS, user_id=user_id, email_key=found.email_key)
        received = await fetch_all(session, INVITATIONS_OF, user_id=user_id, email_key=found.email_key)
        keys = addresses_of(found, received)
        in_directories = {
            name: await self._rows(session, each, user_id=user_id, email_keys=keys)
            for name, each in IN_DIRECTORIES.items()
        }
        tenants = await fetch_all(session, TENANTS_IN_EVENTS, user_id=user_id)
        tenant_ids = sorted({NO_TENANT, *(row.tenant_id for row in tenants)})
        found_events = [
            row
            for name in EVENTS_ABOUT
            for row in (
                *await self._rows(session, EVENTS_ABOUT[name], user_id=user_id),
                *await self._rows(session, EVENTS_BY[name], user_id=user_id, tenant_ids=tenant_ids),
            )
        ]
        return UserExport(
            user_id=user_id,
            exported_at=now,
            account=account.row,
            invitations=invited,
            stored_answers=await self._rows(session, STORED_ANSWERS, user_id=user_id, tenant_ids=tenant_ids),
            events=sorted(found_events, key=lambda event: (event["time"], event["position"])),
            **own,
            **in_directories,
        )

    @staticmethod
    async def _rows(session: SqlSession, statement: AnySelect, **values: object) -> list[dict[str, Any]]:
        return [row.row for row in await fetch_all(session, statement, **values)]
