"""Subscriptions and invoices."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    String,
    Text,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.records import Slice, Subscription, Window
from hoc.cus.account.L5_schemas.results import BillingSummaryResult, InvoiceSummaryResult
from hoc.cus.account.L5_schemas.values import BillingPeriod, Plan, SubscriptionStatus
from hoc.cus.account.L6_drivers.statements import (
    TENANT,
    AnyRow,
    AnySelect,
    Paged,
    SqlSession,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.tables import invoices, subscriptions, tenants, usage_counters
from hoc.cus.account.L6_drivers.usage import LIMITS, USAGE

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
    .select_from(
        tenants.outerjoin(subscriptions).outerjoin(
            usage_counters, usage_counters.c.tenant_id == tenants.c.tenant_id
        )
    )
    .where(tenants.c.tenant_id == TENANT)
)

INVOICES = Paged(
    select(
        invoices.c.invoice_id,
        invoices.c.period_start,
        invoices.c.period_end,
        invoices.c.amount_cents,
        invoices.c.status,
        invoices.c.description,
    ).where(invoices.c.tenant_id == TENANT),
    at=invoices.c.period_start,
    row_id=invoices.c.invoice_id,
    total=select(func.count()).select_from(invoices).where(invoices.c.tenant_id == TENANT).scalar_subquery(),
    newest_first=True,
)

HAS_SUBSCRIPTION = (
    select(subscriptions.c.tenant_id.is_not(None).label("has_subscription"))
    .select_from(tenants.outerjoin(subscriptions))
    .where(tenants.c.tenant_id == TENANT)
)


def _time(name: str) -> BindParameter[Any]:
    return param(name, DateTime(timezone=True))


def _put_subscription() -> AnySelect:
    """Upsert the subscription and let the tenant's plan follow; rows that would not change are left alone."""
    tenant = select(tenants.c.tenant_id).where(tenants.c.tenant_id == TENANT).cte("tenant")
    given: dict[str, BindParameter[Any]] = {
        "plan": param("plan", String),
        "status": param("status", String),
        "billing_period": param("billing_period", String),
        "current_period_start": _time("current_period_start"),
        "current_period_end": _time("current_period_end"),
        "next_invoice_date": _time("next_invoice_date"),
    }
    put = (
        insert(subscriptions)
        .from_select(["tenant_id", *given], select(tenant.c.tenant_id, *given.values()))
        .on_conflict_do_update(
            index_elements=[subscriptions.c.tenant_id],
            set_=given | {"updated_at": func.now()},
            where=or_(*(subscriptions.c[name].is_distinct_from(value) for name, value in given.items())),
        )
        .cte("put")
    )
    tenant_plan = param("tenant_plan", String)
    moved = (
        update(tenants)
        .where(tenants.c.tenant_id == TENANT, tenants.c.plan != tenant_plan)
        .values(plan=tenant_plan, version=tenants.c.version + 1, updated_at=func.now())
        .cte("moved")
    )
    return select(tenant.c.tenant_id).add_cte(put, moved)


PUT_SUBSCRIPTION = _put_subscription()


def _put_invoice() -> AnySelect:
    tenant = select(tenants.c.tenant_id).where(tenants.c.tenant_id == TENANT).cte("tenant")
    given: dict[str, BindParameter[Any]] = {
        "period_start": _time("period_start"),
        "period_end": _time("period_end"),
        "amount_cents": param("amount_cents", BigInteger),
        "status": param("status", String),
        "description": param("description", Text),
    }
    put = (
        insert(invoices)
        .from_select(
            ["tenant_id", "invoice_id", *given],
            select(tenant.c.tenant_id, param("invoice_id", String), *given.values()),
        )
        .on_conflict_do_update(
            index_elements=[invoices.c.tenant_id, invoices.c.invoice_id],
            set_=given | {"updated_at": func.now()},
            where=or_(*(invoices.c[name].is_distinct_from(value) for name, value in given.items())),
        )
        .cte("put")
    )
    return select(tenant.c.tenant_id).add_cte(put)


PUT_INVOICE = _put_invoice()


class SqlBilling:
    async def summary(
        self, session: SqlSession, tenant_id: str, now: datetime
    ) -> BillingSummaryResult | None:
        row = await fetch_one(session, SUMMARY, tenant_id=tenant_id, day=now.date())
        return None if row is None else _summary(row)

    async def invoices_page(
        self, session: SqlSession, tenant_id: str, window: Window
    ) -> Slice[InvoiceSummaryResult]:
        return await INVOICES.fetch(session, window, _invoice, tenant_id=tenant_id)

    async def has_subscription(self, session: SqlSession, tenant_id: str) -> bool | None:
        row = await fetch_one(session, HAS_SUBSCRIPTION, tenant_id=tenant_id)
        return None if row is None else row.has_subscription

    async def put_subscription(self, session: SqlSession, subscription: Subscription) -> bool:
        canceled = subscription.status is SubscriptionStatus.CANCELED
        row = await fetch_one(
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
        )
        return row is not None

    async def put_invoice(self, session: SqlSession, tenant_id: str, invoice: InvoiceSummaryResult) -> bool:
        row = await fetch_one(
            session,
            PUT_INVOICE,
            tenant_id=tenant_id,
            invoice_id=invoice.invoice_id,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            amount_cents=invoice.amount_cents,
            status=invoice.status,
            description=invoice.description,
        )
        return row is not None


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


def _invoice(row: AnyRow) -> InvoiceSummaryResult:
    return InvoiceSummaryResult(
        invoice_id=row.invoice_id,
        period_start=row.period_start,
        period_end=row.period_end,
        amount_cents=row.amount_cents,
        status=row.status,
        description=row.description,
    )
