"""Reading events: one tenant's for the audit trail, all of them for the feed."""

from hoc.cus.account.L5_schemas.port_types import (
    AuditFilter,
    EventNames,
    NamedIds,
    SortKey,
    UncountedSlice,
    Window,
)
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore, slice_of


class MemoryEventLog(MemoryStore):
    async def of_tenant(
        self, session: MemorySession, tenant_id: str, window: Window, wanted: AuditFilter
    ) -> UncountedSlice[EventResult]:
        found = slice_of(
            (
                # All with the same number of digits, so that they sort as text.
                (SortKey(event.time, f"{event.sequence:018}"), event)
                for event in self.read(session).numbered_events()
                if event.tenant_id == tenant_id and _is_wanted(event, wanted)
            ),
            window,
            newest_first=True,
        )
        return UncountedSlice(found.rows, found.last_key, found.has_more)

    async def names(self, session: MemorySession, tenant_id: str, ids: NamedIds) -> EventNames:
        tables = self.read(session)
        people: dict[str, str] = {}
        for user_id in ids.people & tables.users.keys():
            user = tables.users[user_id]
            is_member = (tenant_id, user_id) in tables.memberships
            if (name := user.name or (user.email if is_member else None)) is not None:
                people[user_id] = name
        return EventNames(
            people,
            {
                each: tables.invitations[tenant_id, each].email
                for each in ids.invitations
                if (tenant_id, each) in tables.invitations
            },
            {
                each: tables.tickets[tenant_id, each].subject
                for each in ids.tickets
                if (tenant_id, each) in tables.tickets
            },
        )

    async def in_sequence(self, session: MemorySession, after: int, limit: int) -> list[EventResult]:
        # Not the session's own events, which a rollback would remove.
        return self._checked(session).database.events()[after : after + limit]


def _is_wanted(event: EventResult, wanted: AuditFilter) -> bool:
    return (
        wanted.actor in {None, event.actor}
        and wanted.type in {None, event.type}
        and (wanted.since is None or event.time >= wanted.since)
        and (wanted.until is None or event.time < wanted.until)
    )
