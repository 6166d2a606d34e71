"""Domains that tenants have claimed."""

from datetime import datetime

from sqlalchemy import (
    String,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.domains import (
    RECORD_PREFIX,
    VALUE_PREFIX,
    DomainResult,
    JoiningTerms,
)
from hoc.cus.account.L5_schemas.events import (
    DomainChangedEventData,
    DomainClaimedEventData,
    DomainRemovedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, Versioned, Window
from hoc.cus.account.L5_schemas.values import (
    DomainStatus,
)
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import tenant_domains

DOMAIN = param("domain", String)
STATUS = param("status", String)
DUE_AT = param("due_at", DateTime(timezone=True))
ROLE = param("role", String)
JOINING = param("joining", String)
# Not parameters: a generic plan could not use the partial index.
IS_VERIFIED = tenant_domains.c.status == literal_column(f"'{DomainStatus.VERIFIED}'")
THIS_DOMAIN = (tenant_domains.c.tenant_id == TENANT) & (tenant_domains.c.domain == DOMAIN)

RECORD_NAME = (literal_column(f"'{RECORD_PREFIX}'", String) + tenant_domains.c.domain).label("record_name")
RECORD_VALUE = (literal_column(f"'{VALUE_PREFIX}'", String) + tenant_domains.c.token).label("record_value")
RESULT = (
    tenant_domains.c.domain,
    tenant_domains.c.status,
    tenant_domains.c.joining,
    tenant_domains.c.join_role,
    RECORD_NAME,
    RECORD_VALUE,
    tenant_domains.c.created_at,
    tenant_domains.c.verified_at,
    tenant_domains.c.checked_at,
    tenant_domains.c.failing_since,
    tenant_domains.c.problem,
    tenant_domains.c.next_check_at,
)

COUNT = (
    select(func.count().label("domains"))
    .select_from(tenant_domains)
    .where(tenant_domains.c.tenant_id == TENANT)
)


def _claim() -> AnySelect:
    claimed = (
        insert(tenant_domains)
        .values(
            tenant_id=TENANT,
            domain=DOMAIN,
            token=param("token", String),
            created_at=NOW,
            updated_at=NOW,
            next_check_at=DUE_AT,
        )
        .on_conflict_do_nothing(index_elements=[tenant_domains.c.tenant_id, tenant_domains.c.domain])
        .returning(tenant_domains.c.tenant_id, tenant_domains.c.domain)
        .cte("claimed")
    )
    return select(claimed.c.domain).add_cte(recorded(DomainClaimedEventData, claimed))


CLAIM = _claim()


def _page(*, by_status: bool) -> Paged:
    listed = [tenant_domains.c.tenant_id == TENANT]
    if by_status:
        listed.append(tenant_domains.c.status == STATUS)
    return Paged(
        select(*RESULT).where(*listed),
        at=tenant_domains.c.created_at,
        row_id=tenant_domains.c.domain,
        total=select(func.count()).select_from(tenant_domains).where(*listed).scalar_subquery(),
    )


PAGES = {by_status: _page(by_status=by_status) for by_status in (False, True)}
FIND = select(*RESULT, tenant_domains.c.version).where(THIS_DOMAIN)
LOCK = select(tenant_domains.c.domain).where(THIS_DOMAIN).with_for_update()


def _change() -> AnySelect:
    changed = (
        update(tenant_domains)
        .where(THIS_DOMAIN, (tenant_domains.c.joining != JOINING) | (tenant_domains.c.join_role != ROLE))
        .values(joining=JOINING, join_role=ROLE, updated_at=NOW, version=tenant_domains.c.version + 1)
        .returning(
            tenant_domains.c.tenant_id,
            tenant_domains.c.domain,
            tenant_domains.c.joining,
            tenant_domains.c.join_role,
        )
        .cte("changed")
    )
    return select(changed.c.domain).add_cte(recorded(DomainChangedEventData, changed))


CHANGE = _change()


def _remove() -> AnySelect:
    removed = (
        delete(tenant_domains)
        .where(THIS_DOMAIN)
        .returning(tenant_domains.c.tenant_id, tenant_domains.c.domain)
        .cte("removed")
    )
    return select(removed.c.domain).add_cte(recorded(DomainRemovedEventData, removed))


REMOVE = _remove()
CHECK_AT = (
    update(tenant_domains).where(THIS_DOMAIN).values(next_check_at=DUE_AT).returning(tenant_domains.c.domain)
)

_result = record_of(DomainResult, FIND, *PAGES.values())


class SqlDomains:
    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def count(self, session: SqlSession, tenant_id: str) -> int:
        [row] = await fetch_all(session, COUNT, tenant_id=tenant_id)
        counted: int = row.domains
        return counted

    async def claim(
        self,
        session: SqlSession,
        tenant_id: str,
        domain: str,
        token: str,
        now: datetime,
        *,
        actor: str,
        due_at: datetime,
    ) -> bool:
        row = await fetch_one(
            session,
            CLAIM,
            tenant_id=tenant_id,
            domain=domain,
            token=token,
            now=now,
            actor=actor,
            due_at=due_at,
        )
        return row is not None

    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, *, status: DomainStatus | None
    ) -> Slice[DomainResult]:
        values = {"tenant_id": tenant_id} | ({} if status is None else {"status": status})
        return await PAGES[status is not None].fetch(session, window, _result, **values)

    async def find(self, session: SqlSession, tenant_id: str, domain: str) -> Versioned[DomainResult] | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, domain=domain)
        return None if row is None else Versioned(_result(row), row.version)

    async def lock(self, session: SqlSession, tenant_id: str, domain: str) -> None:
        await fetch_one(session, LOCK, tenant_id=tenant_id, domain=domain)

    async def change(
        self,
        session: SqlSession,
        tenant_id: str,
        domain: str,
        terms: JoiningTerms,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        await fetch_one(
            session,
            CHANGE,
            tenant_id=tenant_id,
            domain=domain,
            joining=terms.joining,
            role=terms.role,
            now=now,
            actor=actor,
        )

    async def remove(
        self, session: SqlSession, tenant_id: str, domain: str, now: datetime, *, actor: str
    ) -> None:
        await fetch_one(session, REMOVE, tenant_id=tenant_id, domain=domain, now=now, actor=actor)

    async def check_at(self, session: SqlSession, tenant_id: str, domain: str, due_at: datetime) -> None:
        await fetch_one(session, CHECK_AT, tenant_id=tenant_id, domain=domain, due_at=due_at)
