"""The tokens of tenants' SCIM clients, of which only the SHA-256 is stored."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, case, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import ScimTokenCreatedEventData, ScimTokenRevokedEventData
from hoc.cus.account.L5_schemas.port_types import Slice, Window
from hoc.cus.account.L5_schemas.scim import NewScimTokenResult, ScimCaller, ScimTokenResult
from hoc.cus.account.L5_schemas.values import ScimTokenStatus, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import ACTOR, recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import scim_tokens, tenants

TOKEN = param("token_id", String)
HASH = param("token_hash", LargeBinary)
USED_BEFORE = param("used_before", DateTime(timezone=True))
THIS_TOKEN = (scim_tokens.c.tenant_id == TENANT) & (scim_tokens.c.token_id == TOKEN)
IS_ACTIVE = scim_tokens.c.revoked_at.is_(None) & (scim_tokens.c.expires_at > NOW)
USE_IS_DUE = func.coalesce(scim_tokens.c.last_used_at <= USED_BEFORE, literal_column("true"))

RESULT = (
    scim_tokens.c.token_id.label("id"),
    scim_tokens.c.name,
    case(
        (scim_tokens.c.revoked_at.is_not(None), literal_column(f"'{ScimTokenStatus.REVOKED}'", String)),
        (scim_tokens.c.expires_at <= NOW, literal_column(f"'{ScimTokenStatus.EXPIRED}'", String)),
        else_=literal_column(f"'{ScimTokenStatus.ACTIVE}'", String),
    ).label("status"),
    scim_tokens.c.created_at,
    scim_tokens.c.created_by,
    scim_tokens.c.expires_at,
    scim_tokens.c.last_used_at,
    scim_tokens.c.revoked_at,
)

COUNT_ACTIVE = (
    select(func.count().label("tokens"))
    .select_from(scim_tokens)
    .where(scim_tokens.c.tenant_id == TENANT, IS_ACTIVE)
)


def _add() -> AnySelect:
    added = (
        insert(scim_tokens)
        .values(
            tenant_id=TENANT,
            token_id=TOKEN,
            name=param("name", String),
            token_hash=HASH,
            created_at=NOW,
            created_by=ACTOR,
            expires_at=param("expires_at", DateTime(timezone=True)),
        )
        .returning(
            scim_tokens.c.tenant_id, scim_tokens.c.token_id, scim_tokens.c.name, scim_tokens.c.expires_at
        )
        .cte("added")
    )
    return select(added.c.token_id).add_cte(recorded(ScimTokenCreatedEventData, added))


ADD = _add()
PAGE = Paged(
    select(*RESULT).where(scim_tokens.c.tenant_id == TENANT),
    at=scim_tokens.c.created_at,
    row_id=scim_tokens.c.token_id,
    total=select(func.count())
    .select_from(scim_tokens)
    .where(scim_tokens.c.tenant_id == TENANT)
    .scalar_subquery(),
    newest_first=True,
)
FIND = select(*RESULT).where(THIS_TOKEN)
LOCK = select(scim_tokens.c.token_id).where(THIS_TOKEN).with_for_update()


def _revoke() -> AnySelect:
    revoked = (
        update(scim_tokens)
        .where(THIS_TOKEN, scim_tokens.c.revoked_at.is_(None))
        .values(revoked_at=NOW)
        .returning(scim_tokens.c.tenant_id, scim_tokens.c.token_id, scim_tokens.c.name)
        .cte("revoked")
    )
    return select(revoked.c.token_id).add_cte(recorded(ScimTokenRevokedEventData, revoked))


REVOKE = _revoke()
AUTHENTICATE = (
    select(scim_tokens.c.token_id, USE_IS_DUE.label("use_is_due"))
    .join(tenants, tenants.c.tenant_id == scim_tokens.c.tenant_id)
    .where(
        scim_tokens.c.tenant_id == TENANT,
        scim_tokens.c.token_hash == HASH,
        IS_ACTIVE,
        tenants.c.status == literal_column(f"'{TenantStatus.ACTIVE}'"),
    )
)
RECORD_USE = (
    update(scim_tokens)
    .where(THIS_TOKEN, USE_IS_DUE)
    .values(last_used_at=NOW)
    .returning(scim_tokens.c.token_id)
)

_result = record_of(ScimTokenResult, FIND, PAGE)


class SqlScimTokens:
    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def count_active(self, session: SqlSession, tenant_id: str, now: datetime) -> int:
        [row] = await fetch_all(session, COUNT_ACTIVE, tenant_id=tenant_id, now=now)
        counted: int = row.tokens
        return counted

    async def add(
        self,
        session: SqlSession,
        tenant_id: str,
        token: NewScimTokenResult,
        token_hash: bytes,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        await fetch_one(
            session,
            ADD,
            tenant_id=tenant_id,
            token_id=token.id,
            name=token.name,
            token_hash=token_hash,
            expires_at=token.expires_at,
            now=now,
            actor=actor,
        )

    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, now: datetime
    ) -> Slice[ScimTokenResult]:
        return await PAGE.fetch(session, window, _result, tenant_id=tenant_id, now=now)

    async def find(
        self, session: SqlSession, tenant_id: str, token_id: str, now: datetime
    ) -> ScimTokenResult | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, token_id=token_id, now=now)
        return None if row is None else _result(row)

    async def lock(self, session: SqlSession, tenant_id: str, token_id: str) -> None:
        await fetch_one(session, LOCK, tenant_id=tenant_id, token_id=token_id)

    async def revoke(
        self, session: SqlSession, tenant_id: str, token_id: str, now: datetime, *, actor: str
    ) -> None:
        await fetch_one(session, REVOKE, tenant_id=tenant_id, token_id=token_id, now=now, actor=actor)

    async def authenticate(
        self, session: SqlSession, tenant_id: str, token_hash: bytes, now: datetime, *, used_before: datetime
    ) -> ScimCaller | None:
        row = await fetch_one(
            session,
            AUTHENTICATE,
            tenant_id=tenant_id,
            token_hash=token_hash,
            now=now,
            used_before=used_before,
        )
        return None if row is None else ScimCaller(tenant_id, row.token_id, use_is_due=row.use_is_due)

    async def record_use(
        self, session: SqlSession, caller: ScimCaller, now: datetime, *, used_before: datetime
    ) -> None:
        await fetch_one(
            session,
            RECORD_USE,
            tenant_id=caller.tenant_id,
            token_id=caller.token_id,
            now=now,
            used_before=used_before,
        )
