"""Subscriptions and invoices."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.records import Slice, SortKey, Subscription, Window
from hoc.cus.account.L5_schemas.results import BillingSummaryResult, InvoiceSummaryResult
from hoc.cus.account.L5_schemas.values import BillingPeriod, Plan, SubscriptionStatus
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.usage import usage_of


class MemoryBilling(MemoryStore):
    async def summary(
        self, session: MemorySession, tenant_id: str, now: datetime
    ) -> BillingSummaryResult | None:
        tables = self.read(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None:
            return None
        subscription = tables.subscriptions.get(tenant_id)
        usage = usage_of(tables, tenant, now.date())
        return BillingSummaryResult(
            plan=tenant.plan,
            status=subscription.status if subscription else SubscriptionStatus.ACTIVE,
            billing_period=subscription.billing_period if subscription else BillingPeriod.MONTHLY,
            current_period_start=subscription.current_period_start if subscription else None,
            current_period_end=subscription.current_period_end if subscription else None,
            usage_this_period={
                "runs_today": usage.runs_today,
                "runs_this_month": usage.runs_this_month,
                "tokens_this_month": usage.tokens_this_month,
            },
            next_invoice_date=subscription.next_invoice_date if subscription else None,
            max_runs_per_day=usage.max_runs_per_day,
            max_tokens_per_month=usage.max_tokens_per_month,
            runs_this_month=usage.runs_this_month,
            tokens_this_month=usage.tokens_this_month,
        )

    async def invoices_page(
        self, session: MemorySession, tenant_id: str, window: Window
    ) -> Slice[InvoiceSummaryResult]:
        return slice_of(
            (
                (SortKey(invoice.period_start, invoice.invoice_id), invoice)
                for (owner_id, _), invoice in self.read(session).invoices.items()
                if owner_id == tenant_id
            ),
            window,
            newest_first=True,
        )

    async def has_subscription(self, session: MemorySession, tenant_id: str) -> bool | None:
        tables = self.read(session)
        return tenant_id in tables.subscriptions if tenant_id in tables.tenants else None

    async def put_subscription(self, session: MemorySession, subscription: Subscription) -> bool:
        tables = await self.write(session)
        tenant = tables.tenants.get(subscription.tenant_id)
        if tenant is None:
            return False
        tables.subscriptions[subscription.tenant_id] = subscription
        plan = Plan.FREE if subscription.status is SubscriptionStatus.CANCELED else subscription.plan
        if tenant.plan is not plan:
            tables.tenants[tenant.tenant_id] = replace(
                tenant, plan=plan, version=tenant.version + 1, updated_at=utc_now()
            )
        return True

    async def put_invoice(
        self, session: MemorySession, tenant_id: str, invoice: InvoiceSummaryResult
    ) -> bool:
        tables = await self.write(session)
        if tenant_id not in tables.tenants:
            return False
        tables.invoices[tenant_id, invoice.invoice_id] = invoice
        return True
