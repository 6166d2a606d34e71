"""The audit trail: a tenant's events, for its owners and admins."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader
from hoc.cus.account.L5_engines.paging import CursorScope
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_engines.times import utc_time
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.cus.account.L5_schemas.port_types import (
    AuditFilter,
    EventNames,
    NamedIds,
    Page,
    UncountedSlice,
    Window,
)
from hoc.cus.account.L5_schemas.results import AuditListResult, EventResult

_POSITION = re.compile(r"[0-9]{1,18}")
_PEOPLE = frozenset({"from_user_id", "to_user_id"})


class AuditStore(Protocol):
    async def of_tenant(
        self, session: Session, tenant_id: str, window: Window, wanted: AuditFilter
    ) -> UncountedSlice[EventResult]:
        """Newest first, with all that is committed. The id of a sort key is a decimal position."""
        ...

    async def names(self, session: Session, tenant_id: str, ids: NamedIds) -> EventNames: ...


class AuditTrail:
    def __init__(self, events: AuditStore, access: AccessReader) -> None:
        self._events = events
        self._access = access

    async def list(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        actor: str | None = None,
        type: str | None = None,  # noqa: A002 - the parameter's name over HTTP
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[AuditListResult]:
        """A tenant's events, newest first.

        Args:
            actor: only events that this user caused.
            type: only events of this type, such as ``member.removed``.
            since: only events at or after this time, which has a time zone.
            until: only events before this time, which has a time zone.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError (the caller is
        neither an owner nor an admin).
        """
        wanted = AuditFilter(actor, _known(type), _zoned("since", since), _zoned("until", until))
        if actor is not None and not is_storable_id(actor):
            raise InvalidInputError.of_parameter("actor", "must be 1 to 255 characters of text")
        filters = {name: None if time is None else time.isoformat() for name, time in _times(wanted)}
        scope = CursorScope("audit", tenant_id, actor=actor, type=type, **filters)
        window = scope.window(limit, 0, cursor)
        if window.after is not None and not _POSITION.fullmatch(window.after.id):
            raise InvalidInputError.of_parameter(
                "cursor", "is not a cursor of this list; start without a cursor"
            )
        reader = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(reader.role.can_manage_users, "read the audit trail")
        rows = await self._events.of_tenant(session, tenant_id, window, wanted)
        return Page(AuditListResult(rows.rows), scope.next_cursor(rows))

    async def names(self, session: Session, tenant_id: str, events: Iterable[EventResult]) -> EventNames:
        """What people call those whom events of `list` name by id, as far as they have names.

        An account that is no member is called by its name alone, not by its address.
        """
        shown = tuple(events)
        data = [(name, value) for event in shown for name, value in event.data.items()]
        people = {value for name, value in data if name in _PEOPLE}
        people |= {who for event in shown for who in (event.actor, event.user_id)}
        ids = NamedIds(
            frozenset(filter(None, people)),
            frozenset(value for name, value in data if name == "invitation_id"),
            frozenset(value for name, value in data if name == "ticket_id"),
        )
        return await self._events.names(session, tenant_id, ids)


def _known(event_type: str | None) -> str | None:
    if event_type is not None and event_type not in EVENTS:
        raise InvalidInputError.of_parameter("type", f"must be one of {', '.join(EVENTS)}")
    return event_type


def _times(wanted: AuditFilter) -> tuple[tuple[str, datetime | None], ...]:
    return ("since", wanted.since), ("until", wanted.until)


def _zoned(name: str, time: datetime | None) -> datetime | None:
    return None if time is None else utc_time(name, time, InvalidInputError.of_parameter)
