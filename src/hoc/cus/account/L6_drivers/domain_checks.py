"""Checks of domains: claiming those that are due, and what was found in DNS."""

from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import (
    Boolean,
    ColumnElement,
    String,
    case,
    exists,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.domains import CheckedDomain, DueDomain
from hoc.cus.account.L5_schemas.events import (
    DomainFailingEventData,
    DomainLostEventData,
    DomainVerifiedEventData,
)
from hoc.cus.account.L5_schemas.values import DomainProblem, DomainStatus, Role, TenantStatus
from hoc.cus.account.L6_drivers.domains import DOMAIN, DUE_AT, RECORD_NAME, RECORD_VALUE, THIS_DOMAIN
from hoc.cus.account.L6_drivers.due_rows import due_rows
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import domain_mails, memberships, tenant_domains, tenants

PROBLEM = param("problem", String)

LOCK = (
    select(
        tenant_domains.c.status,
        tenant_domains.c.created_at,
        tenant_domains.c.found_at,
        tenant_domains.c.failing_since,
    )
    .where(THIS_DOMAIN)
    .with_for_update()
)
TENANT_STATUS = select(tenants.c.status).where(tenants.c.tenant_id == TENANT)

_HAS_NO_PROBLEM = PROBLEM.is_(None)
SETTLE = (
    update(tenant_domains)
    .where(THIS_DOMAIN)
    .values(
        checked_at=NOW,
        problem=PROBLEM,
        next_check_at=DUE_AT,
        found_at=case((_HAS_NO_PROBLEM, NOW), else_=tenant_domains.c.found_at),
        failing_since=case((_HAS_NO_PROBLEM, null()), else_=tenant_domains.c.failing_since),
    )
    .returning(tenant_domains.c.domain)
)


def _settled(event: type[Any], *conditions: ColumnElement[bool], **values: Any) -> AnySelect:  # noqa: ANN401 - columns' values
    """Change a domain after a check, and record the event, which nobody in particular has caused."""
    lost_at = values.pop("lost_at", None)
    settled = (
        update(tenant_domains)
        .where(THIS_DOMAIN, *conditions)
        .values(checked_at=NOW, updated_at=NOW, version=tenant_domains.c.version + 1, **values)
        .returning(tenant_domains.c.tenant_id, tenant_domains.c.domain, tenant_domains.c.failing_since)
        .cte("settled")
    )
    given = {} if lost_at is None else {"lost_at": lost_at}
    return select(settled.c.domain).add_cte(recorded(event, settled, actor=null(), **given))


_OTHERS = tenant_domains.alias("others")
VERIFY = _settled(
    DomainVerifiedEventData,
    ~exists().where(
        _OTHERS.c.domain == DOMAIN, _OTHERS.c.status == literal_column(f"'{DomainStatus.VERIFIED}'")
    ),
    status=DomainStatus.VERIFIED,
    verified_at=NOW,
    found_at=NOW,
    failing_since=None,
    problem=None,
    next_check_at=DUE_AT,
)
FAIL = _settled(
    DomainFailingEventData,
    failing_since=NOW,
    problem=PROBLEM,
    next_check_at=DUE_AT,
    lost_at=param("lost_at", DateTime(timezone=True)),
)
LOSE = _settled(
    DomainLostEventData,
    status=DomainStatus.PENDING,
    verified_at=None,
    failing_since=None,
    problem=PROBLEM,
    next_check_at=None,
)

OWNERS = select(memberships.c.user_id).where(
    memberships.c.tenant_id == TENANT, memberships.c.role == Role.OWNER, memberships.c.is_active
)
_RECIPIENTS = (
    func.unnest(param("mail_ids", ARRAY(String)), param("user_ids", ARRAY(String)))
    .table_valued("mail_id", "user_id")
    .render_derived("recipients")
)
QUEUE_MAILS = (
    insert(domain_mails)
    .from_select(
        ["mail_id", "user_id", "tenant_id", "domain", "is_lost", "due_at"],
        select(*_RECIPIENTS.c, TENANT, DOMAIN, param("is_lost", Boolean), NOW),
    )
    .returning(domain_mails.c.mail_id)
)

_KEY = tuple_(tenant_domains.c.tenant_id, tenant_domains.c.domain)
_DUE = due_rows(tenant_domains.c.tenant_id, tenant_domains.c.domain, at=tenant_domains.c.next_check_at)
CLAIM_DUE = (
    update(tenant_domains)
    .where(_KEY.in_(_DUE))
    .values(next_check_at=DUE_AT)
    .returning(tenant_domains.c.tenant_id, tenant_domains.c.domain, RECORD_NAME, RECORD_VALUE)
)


class SqlDomainChecks:
    async def claim_due(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueDomain]:
        """Claim due domains that no other checker is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM_DUE, now=now, due_at=lease_until, batch=batch)
        return [DueDomain(*row) for row in rows]

    async def lock(self, session: SqlSession, tenant_id: str, domain: str) -> CheckedDomain | None:
        row = await fetch_one(session, LOCK, tenant_id=tenant_id, domain=domain)
        if row is None:
            return None
        tenant = await fetch_one(session, TENANT_STATUS, tenant_id=tenant_id)
        return CheckedDomain(
            None if tenant is None else TenantStatus(tenant.status),
            DomainStatus(row.status),
            row.created_at,
            row.found_at,
            row.failing_since,
        )

    async def settle(
        self,
        session: SqlSession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem | None,
        now: datetime,
        *,
        due_at: datetime | None,
    ) -> None:
        await fetch_one(
            session, SETTLE, tenant_id=tenant_id, domain=domain, problem=problem, now=now, due_at=due_at
        )

    async def verify(
        self, session: SqlSession, tenant_id: str, domain: str, now: datetime, *, due_at: datetime
    ) -> bool:
        row = await fetch_one(session, VERIFY, tenant_id=tenant_id, domain=domain, now=now, due_at=due_at)
        return row is not None

    async def fail(
        self,
        session: SqlSession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem,
        now: datetime,
        *,
        due_at: datetime,
        lost_at: datetime,
    ) -> None:
        await fetch_one(
            session,
            FAIL,
            tenant_id=tenant_id,
            domain=domain,
            problem=problem,
            now=now,
            due_at=due_at,
            lost_at=lost_at,
        )

    async def lose(
        self,
        session: SqlSession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem | None,
        now: datetime,
    ) -> None:
        await fetch_one(session, LOSE, tenant_id=tenant_id, domain=domain, problem=problem, now=now)

    async def queue_mails(
        self, session: SqlSession, tenant_id: str, domain: str, now: datetime, *, is_lost: bool
    ) -> None:
        owners = [row.user_id for row in await fetch_all(session, OWNERS, tenant_id=tenant_id)]
        await fetch_one(
            session,
            QUEUE_MAILS,
            mail_ids=[uuid_utils.uuid7().hex for _ in owners],
            user_ids=owners,
            tenant_id=tenant_id,
            domain=domain,
            is_lost=is_lost,
            now=now,
        )
