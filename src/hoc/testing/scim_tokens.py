"""The tokens of tenants' SCIM clients."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import ScimTokenCreatedEventData, ScimTokenRevokedEventData
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.scim import NewScimTokenResult, ScimCaller, ScimTokenResult
from hoc.cus.account.L5_schemas.values import ScimTokenStatus, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.rows import ScimTokenRow, combine
from hoc.testing.store import MemoryStore, slice_of


class MemoryScimTokens(MemoryStore):
    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def count_active(self, session: MemorySession, tenant_id: str, now: datetime) -> int:
        rows = self.read(session).scim_tokens.values()
        return sum(row.tenant_id == tenant_id and row.is_active(now) for row in rows)

    async def add(
        self,
        session: MemorySession,
        tenant_id: str,
        token: NewScimTokenResult,
        token_hash: bytes,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        tables = await self.write(session)
        tables.scim_tokens[tenant_id, token.id] = ScimTokenRow(
            tenant_id, token.id, token.name, token_hash, now, actor, token.expires_at
        )
        event = ScimTokenCreatedEventData(tenant_id, token.id, token.name, token.expires_at, created_at=now)
        tables.record(event, actor=actor, at=now)

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, now: datetime
    ) -> Slice[ScimTokenResult]:
        return slice_of(
            (
                (SortKey(row.created_at, row.token_id), _result(row, now))
                for row in self.read(session).scim_tokens.values()
                if row.tenant_id == tenant_id
            ),
            window,
            newest_first=True,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, token_id: str, now: datetime
    ) -> ScimTokenResult | None:
        row = self.read(session).scim_tokens.get((tenant_id, token_id))
        return None if row is None else _result(row, now)

    async def lock(self, session: MemorySession, tenant_id: str, token_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def revoke(
        self, session: MemorySession, tenant_id: str, token_id: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        row = tables.scim_tokens[tenant_id, token_id]
        if row.revoked_at is None:
            tables.scim_tokens[tenant_id, token_id] = replace(row, revoked_at=now)
            event = ScimTokenRevokedEventData(tenant_id, token_id, row.name, revoked_at=now)
            tables.record(event, actor=actor, at=now)

    async def authenticate(
        self,
        session: MemorySession,
        tenant_id: str,
        token_hash: bytes,
        now: datetime,
        *,
        used_before: datetime,
    ) -> ScimCaller | None:
        tables = self.read(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None or tenant.status is not TenantStatus.ACTIVE:
            return None
        return next(
            (
                ScimCaller(tenant_id, row.token_id, use_is_due=_use_is_due(row, used_before))
                for row in tables.scim_tokens.values()
                if row.tenant_id == tenant_id and row.token_hash == token_hash and row.is_active(now)
            ),
            None,
        )

    async def record_use(
        self, session: MemorySession, caller: ScimCaller, now: datetime, *, used_before: datetime
    ) -> None:
        tables = await self.write(session)
        row = tables.scim_tokens.get((caller.tenant_id, caller.token_id))
        if row is not None and _use_is_due(row, used_before):
            tables.scim_tokens[caller.tenant_id, caller.token_id] = replace(row, last_used_at=now)


def _use_is_due(row: ScimTokenRow, used_before: datetime) -> bool:
    return row.last_used_at is None or row.last_used_at <= used_before


def _result(row: ScimTokenRow, now: datetime) -> ScimTokenResult:
    status = (
        ScimTokenStatus.REVOKED
        if row.revoked_at is not None
        else ScimTokenStatus.EXPIRED
        if row.expires_at <= now
        else ScimTokenStatus.ACTIVE
    )
    return combine(ScimTokenResult, row, id=row.token_id, status=status)
