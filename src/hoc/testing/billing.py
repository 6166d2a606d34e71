"""Subscriptions and invoices."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from hoc.cus.account.L5_schemas.events import (
    TenantInvoiceRecordedEventData,
    TenantSubscriptionChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Subscription, Window
from hoc.cus.account.L5_schemas.results import BillingSummaryResult, ExtendedInvoiceResult
from hoc.cus.account.L5_schemas.values import BillingPeriod, InvoiceStatus, Plan, SubscriptionStatus
from hoc.testing.database import MemorySession
from hoc.testing.rows import Dated, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.usage import usage_of

K = TypeVar("K")
T = TypeVar("T")

_PERIOD = ("current_period_start", "current_period_end", "next_invoice_date")


class MemoryBilling(MemoryStore):
    async def summary(
        self, session: MemorySession, tenant_id: str, now: datetime
    ) -> BillingSummaryResult | None:
        tables = self.read(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None:
            return None
        subscription = await self.find_subscription(session, tenant_id)
        usage = usage_of(tables, tenant, now.date())
        without = {"status": SubscriptionStatus.ACTIVE, "billing_period": BillingPeriod.MONTHLY}
        return combine(
            BillingSummaryResult,
            usage,
            subscription,
            plan=tenant.plan,
            usage_this_period={
                "runs_today": usage.runs_today,
                "runs_this_month": usage.runs_this_month,
                "tokens_this_month": usage.tokens_this_month,
            },
            **({} if subscription else without | dict.fromkeys(_PERIOD)),
        )

    async def invoices_page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: InvoiceStatus | None
    ) -> Slice[ExtendedInvoiceResult]:
        return slice_of(
            (
                (SortKey(stored.value.period_start, stored.value.invoice_id), stored.value)
                for (owner_id, _), stored in self.read(session).invoices.items()
                if owner_id == tenant_id and status in {None, stored.value.status}
            ),
            window,
            newest_first=True,
        )

    async def has_subscription(self, session: MemorySession, tenant_id: str) -> bool | None:
        tables = self.read(session)
        return tenant_id in tables.subscriptions if tenant_id in tables.tenants else None

    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> bool:
        return tenant_id in (await self.write(session)).tenants

    async def find_subscription(self, session: MemorySession, tenant_id: str) -> Subscription | None:
        stored = self.read(session).subscriptions.get(tenant_id)
        return None if stored is None else stored.value

    async def find_invoice(
        self, session: MemorySession, tenant_id: str, invoice_id: str
    ) -> ExtendedInvoiceResult | None:
        stored = self.read(session).invoices.get((tenant_id, invoice_id))
        return None if stored is None else stored.value

    async def note_payment(
        self, session: MemorySession, tenant_id: str, invoice_id: str, *, as_of: datetime
    ) -> None:
        payments = (await self.write(session)).payments
        payments[tenant_id, invoice_id] = max(as_of, payments.get((tenant_id, invoice_id), as_of))

    async def latest_payment(self, session: MemorySession, tenant_id: str) -> datetime | None:
        payments = self.read(session).payments
        return max((at for (owner_id, _), at in payments.items() if owner_id == tenant_id), default=None)

    async def put_subscription(
        self,
        session: MemorySession,
        subscription: Subscription,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        tables = await self.write(session)
        tenant = tables.tenants[subscription.tenant_id]
        if not _is_news(tables.subscriptions, tenant.tenant_id, subscription, as_of):
            return
        plan = Plan.FREE if subscription.status is SubscriptionStatus.CANCELED else subscription.plan
        if tenant.plan is not plan:
            tables.tenants[tenant.tenant_id] = replace(
                tenant, plan=plan, version=tenant.version + 1, updated_at=now
            )
        event = combine(TenantSubscriptionChangedEventData, subscription, tenant_plan=plan, changed_at=now)
        tables.record(event, actor=actor, at=now)

    async def put_invoice(
        self,
        session: MemorySession,
        tenant_id: str,
        invoice: ExtendedInvoiceResult,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        tables = await self.write(session)
        if not _is_news(tables.invoices, (tenant_id, invoice.invoice_id), invoice, as_of):
            return
        event = combine(TenantInvoiceRecordedEventData, invoice, tenant_id=tenant_id, recorded_at=now)
        tables.record(event, actor=actor, at=now)


def _is_news(stored: dict[K, Dated[T]], key: K, value: T, as_of: datetime) -> bool:
    """Store the value unless one as of later is stored. Returns whether the value is new."""
    before = stored.get(key)
    if before is not None and before.as_of > as_of:
        return False
    stored[key] = Dated(value, as_of)
    return before is None or before.value != value
