"""What is held about a tenant, in memory. Mails, counts and stored answers are not."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from hoc.cus.account.L5_schemas.erasure import ExportPosition, TenantRecord, TenantRecords
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore
from hoc.testing.subject_export import shown
from hoc.testing.tables import Tables

_KINDS: Final = {
    "domains": "tenant_domains",
    "webhooks": "webhook_endpoints",
    "webhooks_set_aside": "webhook_set_aside",
    "directory_users": "scim_users",
    "transfers": "ownership_transfers",
    "tickets": "support_tickets",
}
"""The names of PostgreSQL's tables, where these have others."""
_TABLES: Final = [
    table.name for table in fields(Tables) if table.name not in {"users", "identities", "email_changes"}
]
_ORDER: Final = [_KINDS.get(name, name) for name in _TABLES]


class MemoryTenantExport(MemoryStore):
    def is_position(self, position: ExportPosition) -> bool:
        """Whether a row can be there."""
        is_number = position.kind == "events"
        return position.kind in _ORDER and all(isinstance(each, int) is is_number for each in position.key)

    async def records(
        self, session: MemorySession, tenant_id: str, after: ExportPosition | None, limit: int
    ) -> TenantRecords:
        """Up to ``limit`` rows after a position, or the first ones."""
        rows = sorted(_rows(self.read(session), tenant_id), key=lambda row: _order(row[0]))
        rest = [row for row in rows if after is None or _order(row[0]) > _order(after)]
        page = rest[:limit]
        last = page[-1][0] if len(rest) > limit else None
        return TenantRecords([TenantRecord(position.kind, row) for position, row in page], last)


def _order(position: ExportPosition) -> tuple[int, tuple[str | int, ...]]:
    return _ORDER.index(position.kind), position.key


def _rows(tables: Tables, tenant_id: str) -> Iterator[tuple[ExportPosition, dict[str, Any]]]:
    """Each row with its position."""
    for name, kind in zip(_TABLES, _ORDER, strict=True):
        if name == "events":  # a list, and below
            continue
        rows: dict[Any, Any] = getattr(tables, name)
        for key, row in rows.items():
            parts = cast("tuple[object, ...]", key if isinstance(key, tuple) else (key,))
            if parts[0] == tenant_id and is_dataclass(row):
                account = _account(tables, str(parts[1])) if name == "memberships" else {}
                yield ExportPosition(kind, tuple(map(str, parts[1:]))), shown(row) | account
    for sequence, event in enumerate(tables.numbered_events()):
        if event.tenant_id == tenant_id:
            yield ExportPosition("events", (sequence,)), shown(event)


def _account(tables: Tables, user_id: str) -> dict[str, Any]:
    user = tables.users[user_id]
    return {"email": user.email, "name": user.name}
