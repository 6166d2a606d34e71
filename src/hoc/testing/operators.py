"""What those who operate the product read. In memory no event is published, and so none is a dead letter."""

from collections import Counter
from datetime import UTC, date, datetime

from hoc.cus.account.L5_schemas.identity import AccountStatsResponse
from hoc.cus.account.L5_schemas.operators import AccountRecord, AccountWhole, TenantSummary
from hoc.cus.account.L5_schemas.port_types import DeadLetter, Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.results import LinkedIdentityResult, MembershipResult
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.testing.accounts import stats_of
from hoc.testing.database import MemorySession
from hoc.testing.email_changes import pending_change
from hoc.testing.rows import combine
from hoc.testing.store import MemoryStore, slice_of

_SHOWN_MEMBERSHIPS = 100


class MemoryOperators(MemoryStore):
    async def account(self, session: MemorySession, user_id: str, now: datetime) -> AccountWhole | None:
        tables = self.read(session)
        user = tables.account(user_id)
        if user is None:
            return None
        members = sorted(
            (row for (_, member_id), row in tables.memberships.items() if member_id == user.user_id),
            key=lambda row: (row.joined_at, row.tenant_id),
        )
        return AccountWhole(
            account=combine(AccountRecord, user),
            email_change=pending_change(tables, user.user_id, now),
            identities=[combine(LinkedIdentityResult, each) for each in tables.identities_of(user.user_id)],
            memberships=[
                combine(
                    MembershipResult,
                    row,
                    tenant_name=tables.tenants[row.tenant_id].name,
                    tenant_status=tables.tenants[row.tenant_id].status,
                )
                for row in members[:_SHOWN_MEMBERSHIPS]
            ],
            memberships_total=len(members),
        )

    async def statistics(
        self, session: MemorySession, now: datetime, since: datetime
    ) -> tuple[AccountStatsResponse, dict[date, int]]:
        tables = self.read(session)
        created = [user.created_at for user in tables.users.values() if user.created_at >= since]
        return stats_of(tables, now), Counter(at.astimezone(UTC).date() for at in created)

    async def tenants(
        self, session: MemorySession, window: Window, *, status: TenantStatus | None, term: str | None
    ) -> UncountedSlice[TenantSummary]:
        found = slice_of(
            (
                (SortKey(row.created_at, row.tenant_id), combine(TenantSummary, row))
                for row in self.read(session).tenants.values()
                if status in {None, row.status}
                and (
                    term is None or term.lower() in f"{row.slug} {row.name.lower()}" or term == row.tenant_id
                )
            ),
            window,
            newest_first=True,
        )
        return UncountedSlice(found.rows, found.last_key, found.has_more)

    async def dead_letters(self, session: MemorySession, window: Window) -> Slice[DeadLetter]:  # noqa: ARG002 - a port's
        self.read(session)
        return Slice([], total=0, last_key=None, has_more=False)

    async def request_retry(self, session: MemorySession, ids: list[str] | None) -> list[str]:  # noqa: ARG002 - a port's
        self.read(session)
        return []
