"""Subscriptions and invoices."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    String,
    Table,
    Text,
    and_,
    exists,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import (
    TenantInvoiceRecordedEventData,
    TenantSubscriptionChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, Subscription, Window
from hoc.cus.account.L5_schemas.results import BillingSummaryResult, ExtendedInvoiceResult
from hoc.cus.account.L5_schemas.values import BillingPeriod, InvoiceStatus, Plan, SubscriptionStatus
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.quota_counters import USAGE, USED
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import invoices, subscriptions, tenants
from hoc.cus.account.L6_drivers.usage import LIMITS

SUMMARY = (
    select(
        tenants.c.plan,
        func.coalesce(subscriptions.c.status, literal(SubscriptionStatus.ACTIVE.value)).label("status"),
        func.coalesce(subscriptions.c.billing_period, literal(BillingPeriod.MONTHLY.value)).label(
            "billing_period"
        ),
        subscriptions.c.current_period_start,
        subscriptions.c.current_period_end,
        subscriptions.c.next_invoice_date,
        *USAGE,
        *LIMITS,
    )
    .select_from(tenants.outerjoin(subscriptions).join(USED, true()))
    .where(tenants.c.tenant_id == TENANT)
)

INVOICE_COLUMNS = (
    invoices.c.invoice_id,
    invoices.c.period_start,
    invoices.c.period_end,
    invoices.c.amount_cents,
    invoices.c.status,
    invoices.c.description,
    invoices.c.currency,
    invoices.c.number,
    invoices.c.hosted_url,
    invoices.c.pdf_url,
)


def _invoices(*conditions: ColumnElement[bool]) -> Paged:
    listed = (invoices.c.tenant_id == TENANT, *conditions)
    return Paged(
        select(*INVOICE_COLUMNS).where(*listed),
        at=invoices.c.period_start,
        row_id=invoices.c.invoice_id,
        total=select(func.count()).select_from(invoices).where(*listed).scalar_subquery(),
        newest_first=True,
    )


INVOICES = _invoices()
INVOICES_BY_STATUS = _invoices(invoices.c.status == param("status", String))

HAS_SUBSCRIPTION = (
    select(subscriptions.c.tenant_id.is_not(None).label("has_subscription"))
    .select_from(tenants.outerjoin(subscriptions))
    .where(tenants.c.tenant_id == TENANT)
)


def _time(name: str) -> BindParameter[Any]:
    return param(name, DateTime(timezone=True))


AS_OF = _time("as_of")
INVOICE = param("invoice_id", String)
THIS_INVOICE = (invoices.c.tenant_id == TENANT) & (invoices.c.invoice_id == INVOICE)


def _put_subscription() -> AnySelect:
    """Upsert the subscription unless one as of later is stored, and give the tenant its plan.

    The caller must hold the tenant's lock, so that the row in ``before`` cannot change before the upsert.
    """
    given: dict[str, BindParameter[Any]] = {
        "plan": param("plan", String),
        "status": param("status", String),
        "billing_period": param("billing_period", String),
        "current_period_start": _time("current_period_start"),
        "current_period_end": _time("current_period_end"),
        "next_invoice_date": _time("next_invoice_date"),
    }
    before = select(*subscriptions.c).where(subscriptions.c.tenant_id == TENANT).cte("before")
    put = _upserted(
        subscriptions,
        {
            "tenant_id": TENANT,
            "as_of": AS_OF,
            "updated_at": _updated_at(before, given),
            **given,
        },
        ~_is_later(before),
    )
    tenant_plan = param("tenant_plan", String)
    moved = (
        update(tenants)
        .where(
            tenants.c.tenant_id == TENANT,
            tenants.c.tenant_id == put.c.tenant_id,
            tenants.c.plan != tenant_plan,
        )
        .values(plan=tenant_plan, version=tenants.c.version + 1, updated_at=NOW)
        .cte("moved")
    )
    subscription_changed = recorded(
        TenantSubscriptionChangedEventData,
        put,
        ~_is_same(before, given),
        tenant_plan=tenant_plan,
    )
    return select(put.c.tenant_id).add_cte(moved, subscription_changed)


def _put_invoice() -> AnySelect:
    """Upsert an invoice unless it is stored as of later. The caller must hold the tenant's lock."""
    given: dict[str, BindParameter[Any]] = {
        "period_start": _time("period_start"),
        "period_end": _time("period_end"),
        "amount_cents": param("amount_cents", BigInteger),
        "status": param("status", String),
        "description": param("description", Text),
        "currency": param("currency", String),
        "number": param("number", String),
        "hosted_url": param("hosted_url", Text),
        "pdf_url": param("pdf_url", Text),
    }
    before = select(*invoices.c).where(THIS_INVOICE).cte("before")
    put = _upserted(
        invoices,
        {
            "tenant_id": TENANT,
            "invoice_id": INVOICE,
            "as_of": AS_OF,
            "updated_at": _updated_at(before, given),
            **given,
        },
        ~_is_later(before),
    )
    invoice_recorded = recorded(TenantInvoiceRecordedEventData, put, ~_is_same(before, given))
    return select(put.c.tenant_id).add_cte(invoice_recorded)


def _upserted(table: Table, row: dict[str, ColumnElement[Any]], condition: ColumnElement[bool]) -> CTE:
    """The row as it is stored in place of one with the same key, under the condition.

    All that is read is read for the inserted row: Citus reads nothing else in an ON CONFLICT DO UPDATE.
    """
    put = insert(table).from_select([*row], select(*row.values()).where(condition))
    key = [column.name for column in table.primary_key]
    return (
        put.on_conflict_do_update(
            index_elements=key, set_={name: put.excluded[name] for name in row if name not in key}
        )
        .returning(*table.c)
        .cte("put")
    )


def _equals(before: CTE, given: dict[str, BindParameter[Any]]) -> ColumnElement[bool]:
    return and_(*(before.c[name].is_not_distinct_from(value) for name, value in given.items()))


def _is_same(before: CTE, given: dict[str, BindParameter[Any]]) -> ColumnElement[bool]:
    return exists().where(_equals(before, given))


def _is_later(before: CTE) -> ColumnElement[bool]:
    return exists().where(before.c.as_of > AS_OF)


def _updated_at(before: CTE, given: dict[str, BindParameter[Any]]) -> ColumnElement[Any]:
    """Now, unless nothing changes."""
    return func.coalesce(select(before.c.updated_at).where(_equals(before, given)).scalar_subquery(), NOW)


NOTE_PAYMENT = (
    update(invoices)
    .where(THIS_INVOICE)
    .values(paid_as_of=func.greatest(invoices.c.paid_as_of, AS_OF))
    .returning(invoices.c.paid_as_of)
)
LATEST_PAYMENT = select(func.max(invoices.c.paid_as_of).label("as_of")).where(invoices.c.tenant_id == TENANT)

PUT_SUBSCRIPTION = _put_subscription()
PUT_INVOICE = _put_invoice()

FIND_SUBSCRIPTION = select(*subscriptions.c).where(subscriptions.c.tenant_id == TENANT)
FIND_INVOICE = select(*INVOICE_COLUMNS).where(THIS_INVOICE)

_invoice = record_of(ExtendedInvoiceResult, INVOICES, INVOICES_BY_STATUS, FIND_INVOICE)


class SqlBilling:
    async def summary(
        self, session: SqlSession, tenant_id: str, now: datetime
    ) -> BillingSummaryResult | None:
        row = await fetch_one(session, SUMMARY, tenant_id=tenant_id, day=now.date())
        return None if row is None else _summary(row)

    async def invoices_page(
        self, session: SqlSession, tenant_id: str, window: Window, *, status: InvoiceStatus | None
    ) -> Slice[ExtendedInvoiceResult]:
        if status is None:
            return await INVOICES.fetch(session, window, _invoice, tenant_id=tenant_id)
        return await INVOICES_BY_STATUS.fetch(session, window, _invoice, tenant_id=tenant_id, status=status)

    async def has_subscription(self, session: SqlSession, tenant_id: str) -> bool | None:
        row = await fetch_one(session, HAS_SUBSCRIPTION, tenant_id=tenant_id)
        return None if row is None else row.has_subscription

    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> bool:
        return await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id) is not None

    async def find_subscription(self, session: SqlSession, tenant_id: str) -> Subscription | None:
        row = await fetch_one(session, FIND_SUBSCRIPTION, tenant_id=tenant_id)
        return None if row is None else _subscription(row)

    async def find_invoice(
        self, session: SqlSession, tenant_id: str, invoice_id: str
    ) -> ExtendedInvoiceResult | None:
        row = await fetch_one(session, FIND_INVOICE, tenant_id=tenant_id, invoice_id=invoice_id)
        return None if row is None else _invoice(row)

    async def note_payment(
        self, session: SqlSession, tenant_id: str, invoice_id: str, *, as_of: datetime
    ) -> None:
        await fetch_one(session, NOTE_PAYMENT, tenant_id=tenant_id, invoice_id=invoice_id, as_of=as_of)

    async def latest_payment(self, session: SqlSession, tenant_id: str) -> datetime | None:
        row = await fetch_one(session, LATEST_PAYMENT, tenant_id=tenant_id)
        return None if row is None else row.as_of

    async def put_subscription(
        self,
        session: SqlSession,
        subscription: Subscription,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        canceled = subscription.status is SubscriptionStatus.CANCELED
        await fetch_one(
            session,
            PUT_SUBSCRIPTION,
            tenant_id=subscription.tenant_id,
            plan=subscription.plan,
            status=subscription.status,
            billing_period=subscription.billing_period,
            current_period_start=subscription.current_period_start,
            current_period_end=subscription.current_period_end,
            next_invoice_date=subscription.next_invoice_date,
            tenant_plan=Plan.FREE if canceled else subscription.plan,
            now=now,
            as_of=as_of,
            actor=actor,
        )

    async def put_invoice(
        self,
        session: SqlSession,
        tenant_id: str,
        invoice: ExtendedInvoiceResult,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        await fetch_one(
            session,
            PUT_INVOICE,
            tenant_id=tenant_id,
            invoice_id=invoice.invoice_id,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            amount_cents=invoice.amount_cents,
            status=invoice.status,
            description=invoice.description,
            currency=invoice.currency,
            number=invoice.number,
            hosted_url=invoice.hosted_url,
            pdf_url=invoice.pdf_url,
            now=now,
            as_of=as_of,
            actor=actor,
        )


def _summary(row: AnyRow) -> BillingSummaryResult:
    return BillingSummaryResult(
        plan=row.plan,
        status=row.status,
        billing_period=row.billing_period,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        usage_this_period={
            "runs_today": row.runs_today,
            "runs_this_month": row.runs_this_month,
            "tokens_this_month": row.tokens_this_month,
        },
        next_invoice_date=row.next_invoice_date,
        max_runs_per_day=row.max_runs_per_day,
        max_tokens_per_month=row.max_tokens_per_month,
        runs_this_month=row.runs_this_month,
        tokens_this_month=row.tokens_this_month,
    )


def _subscription(row: AnyRow) -> Subscription:
    return Subscription(
        tenant_id=row.tenant_id,
        plan=Plan(row.plan),
        status=SubscriptionStatus(row.status),
        billing_period=BillingPeriod(row.billing_period),
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        next_invoice_date=row.next_invoice_date,
    )
