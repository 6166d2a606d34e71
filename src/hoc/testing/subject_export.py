"""What is held about a person, in memory. Mails and stored answers are not."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import orjson

from hoc.cus.account.L5_schemas.erasure import UserExport
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore

_LEFT_OUT = {"email_key", "group_key", "token_hash", "secret", "previous_secret"}


class MemorySubjectExport(MemoryStore):
    async def export(self, session: MemorySession, user_id: str, now: datetime) -> UserExport | None:
        tables = self.read(session)
        user = tables.users.get(user_id)
        if user is None:
            return None
        holder = tables.account_by_email(user.email_key)
        key = user.email_key if holder in {None, user} else None
        tickets = {
            ticket_key: ticket for ticket_key, ticket in tables.tickets.items() if ticket.user_id == user_id
        }
        change = tables.email_changes.get(user_id)
        return UserExport(
            user_id=user_id,
            exported_at=now,
            account=shown(user),
            identities=_rows(tables.identities_of(user_id)),
            email_changes=_rows([] if change is None else [change]),
            memberships=_rows(row for row in tables.memberships.values() if row.user_id == user_id),
            join_requests=_rows(row for row in tables.join_requests.values() if row.user_id == user_id),
            ownership_transfers=_rows(
                row for row in tables.transfers.values() if user_id in {row.from_user_id, row.to_user_id}
            ),
            invitations=_rows(
                row
                for row in tables.invitations.values()
                if row.accepted_user_id == user_id or (key is not None and row.email_key == key)
            ),
            tickets=[shown(ticket) | {"tenant_id": tenant_id} for (tenant_id, _), ticket in tickets.items()],
            ticket_replies=_rows(
                row.reply
                for row in tables.ticket_replies.values()
                if row.reply.author_id == user_id or (row.tenant_id, row.ticket_id) in tickets
            ),
            account_mails=[],
            domain_mails=[],
            webhook_mails=[],
            directory_users=_rows(
                row
                for row in tables.directory_users.values()
                if row.user_id == user_id or (key is not None and row.email_key == key)
            ),
            directory_groups=[],
            stored_answers=[],
            events=[
                shown(event) for event in tables.numbered_events() if user_id in {event.user_id, event.actor}
            ],
        )


def _rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [shown(row) for row in rows]


def shown(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row, or a result that is kept as one
    """The row as JSON has it, without secrets and what only comparisons use."""
    return {name: _in_json(value) for name, value in asdict(row).items() if name not in _LEFT_OUT}


def _in_json(value: object) -> object:
    if isinstance(value, bytes):  # a document, encoded so that nothing changes it in place
        return orjson.loads(value)
    return value.isoformat() if isinstance(value, date) else value
