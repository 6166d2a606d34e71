"""A tenant's subscription and invoices: shown by the console, written by the billing system."""

from dataclasses import replace
from datetime import datetime
from typing import Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.link_patterns import filled
from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.provider_statuses import invoice_status, subscription_status
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter, clean_line, clean_text, is_storable_id
from hoc.cus.account.L5_engines.times import utc_time
from hoc.cus.account.L5_engines.urls import https_url
from hoc.cus.account.L5_schemas.currencies import DECIMAL_PLACES
from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Slice, Subscription, Window
from hoc.cus.account.L5_schemas.results import (
    BillingSummaryResult,
    ExtendedBillingSummaryResult,
    ExtendedInvoiceListResult,
    ExtendedInvoiceResult,
)
from hoc.cus.account.L5_schemas.values import (
    AnyBillingPeriod,
    AnyInvoiceStatus,
    AnyPlan,
    BillingPeriod,
    InvoiceStatus,
    Plan,
    Role,
    SubscriptionStatus,
)

MAX_AMOUNT = 2**63 - 1

NO_SUBSCRIPTION = "This tenant has no subscription: the free plan is not invoiced."


class BillingStore(Protocol):
    async def summary(
        self, session: Session, tenant_id: str, now: datetime
    ) -> BillingSummaryResult | None: ...

    async def invoices_page(
        self, session: Session, tenant_id: str, window: Window, *, status: InvoiceStatus | None
    ) -> Slice[ExtendedInvoiceResult]:
        """Newest period first."""
        ...

    async def has_subscription(self, session: Session, tenant_id: str) -> bool | None:
        """None: there is no such tenant."""
        ...

    async def lock_tenant(self, session: Session, tenant_id: str) -> bool:
        """Lock the tenant, so that its billing does not change until the transaction ends.

        False: there is no such tenant.
        """
        ...

    async def find_subscription(self, session: Session, tenant_id: str) -> Subscription | None: ...

    async def find_invoice(
        self, session: Session, tenant_id: str, invoice_id: str
    ) -> ExtendedInvoiceResult | None: ...

    async def note_payment(
        self, session: Session, tenant_id: str, invoice_id: str, *, as_of: datetime
    ) -> None: ...

    async def latest_payment(self, session: Session, tenant_id: str) -> datetime | None:
        """The time of the tenant's latest payment, whatever was stored after it."""
        ...

    async def put_subscription(
        self,
        session: Session,
        subscription: Subscription,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        """Store the subscription and the tenant's plan, unless a subscription as of later is stored."""
        ...

    async def put_invoice(
        self,
        session: Session,
        tenant_id: str,
        invoice: ExtendedInvoiceResult,
        now: datetime,
        *,
        as_of: datetime,
        actor: str | None,
    ) -> None:
        """Store the invoice, unless it is stored as of later."""
        ...


class Billing:
    """``portal_url`` is the pattern of links to the billing system's portal, None if it has none."""

    def __init__(
        self,
        billing: BillingStore,
        access: AccessReader,
        *,
        portal_url: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._billing = billing
        self._access = access
        self._portal_url = portal_url
        self._clock = clock

    async def summary(
        self, session: Session, tenant_id: str, caller_user_id: str | None = None
    ) -> ExtendedBillingSummaryResult:
        """The subscription and this month's usage; without a subscription, the free plan's.

        It has the link to the portal if the caller is an owner or an admin. Raises NotFoundError.
        """
        found = await self._billing.summary(session, tenant_id, self._clock())
        if found is None:
            raise _no_such_tenant()
        portal_url = await self._portal_for(session, tenant_id, caller_user_id)
        return ExtendedBillingSummaryResult(**vars(found), portal_url=portal_url)

    async def _portal_for(self, session: Session, tenant_id: str, user_id: str | None) -> str | None:
        if self._portal_url is None or user_id is None:
            return None
        access = await access_of(self._access, session, tenant_id, user_id)
        if access is None or access.role not in {Role.OWNER, Role.ADMIN}:
            return None
        return filled(self._portal_url, tenant_id=tenant_id)

    async def list_invoices(
        self,
        session: Session,
        tenant_id: str,
        *,
        status: AnyInvoiceStatus | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[ExtendedInvoiceListResult]:
        """Invoices, newest period first; ``message`` says when there is no subscription.

        Raises InvalidInputError or NotFoundError.
        """
        wanted = choice_filter("status", status, InvoiceStatus)
        scope = CursorScope("invoices", tenant_id, status=status)
        rows = await self._billing.invoices_page(session, tenant_id, scope.window(**page), status=wanted)
        message = None if rows.total else await self._why_none(session, tenant_id)
        return Page(ExtendedInvoiceListResult(rows.rows, rows.total, message), scope.next_cursor(rows))

    async def _why_none(self, session: Session, tenant_id: str) -> str | None:
        has_subscription = await self._billing.has_subscription(session, tenant_id)
        if has_subscription is None:
            raise _no_such_tenant()
        return None if has_subscription else NO_SUBSCRIPTION

    @records("tenant.subscription_changed")
    async def set_subscription(
        self,
        session: Session,
        tenant_id: str,
        *,
        plan: AnyPlan,
        status: str = SubscriptionStatus.ACTIVE,
        billing_period: AnyBillingPeriod = BillingPeriod.MONTHLY,
        current_period_start: datetime,
        current_period_end: datetime,
        next_invoice_date: datetime | None = None,
        as_of: datetime | None = None,
        actor: str | None = None,
    ) -> ExtendedBillingSummaryResult:
        """Create or replace the tenant's subscription, and give the tenant its plan.

        A canceled subscription puts the tenant on the free plan. One that is past due is stored as active
        if a payment is known that was not earlier. Nothing changes when the same subscription is stored, or
        one as of a later time than ``as_of``, which is now unless given.

        ``status`` is hoc's, or a provider's in ``provider_statuses``.

        Raises InvalidInputError or NotFoundError.
        """
        now = self._clock()
        subscription = Subscription(
            tenant_id=tenant_id,
            plan=choice("plan", plan, Plan),
            status=subscription_status(status),
            billing_period=choice("billing_period", billing_period, BillingPeriod),
            current_period_start=utc_time("current_period_start", current_period_start),
            current_period_end=utc_time("current_period_end", current_period_end),
            next_invoice_date=None
            if next_invoice_date is None
            else utc_time("next_invoice_date", next_invoice_date),
        )
        if subscription.current_period_end <= subscription.current_period_start:
            raise InvalidInputError.of("current_period_end", "must be after current_period_start")
        moment = _as_of(as_of, now)
        await self._lock(session, tenant_id)
        await self._billing.put_subscription(session, subscription, now, as_of=moment, actor=actor)
        if subscription.status is SubscriptionStatus.PAST_DUE:
            await self._settle(session, tenant_id, now, actor=actor)
        return await self.summary(session, tenant_id)

    @records("tenant.subscription_changed")
    async def cancel_subscription(
        self, session: Session, tenant_id: str, *, as_of: datetime | None = None, actor: str | None = None
    ) -> ExtendedBillingSummaryResult:
        """Put the tenant on the free plan. Raises NotFoundError when there is no subscription."""
        now = self._clock()
        moment = _as_of(as_of, now)
        await self._lock(session, tenant_id)
        current = await self._billing.find_subscription(session, tenant_id)
        if current is None:
            raise NotFoundError("This tenant has no subscription.")
        canceled = replace(current, status=SubscriptionStatus.CANCELED)
        await self._billing.put_subscription(session, canceled, now, as_of=moment, actor=actor)
        return await self.summary(session, tenant_id)

    @records("tenant.invoice_recorded")
    async def record_invoice(
        self,
        session: Session,
        tenant_id: str,
        *,
        invoice_id: str,
        period_start: datetime,
        period_end: datetime,
        amount_cents: int,
        status: str,
        description: str,
        currency: str | None = None,
        number: str | None = None,
        hosted_url: str | None = None,
        pdf_url: str | None = None,
        as_of: datetime | None = None,
        actor: str | None = None,
    ) -> ExtendedInvoiceResult:
        """Create or replace an invoice, unless it is stored as of a later time than ``as_of``.

        Args:
            invoice_id: the billing system's own.
            amount_cents: in the currency's minor unit. It is negative for a credit note.
            status: hoc's, or a provider's in ``provider_statuses``.
            currency: the code of ISO 4217, such as EUR; None if it is unknown.
            number: what the invoice shows as its number.
            hosted_url: the invoice's page at the billing system, https.
            pdf_url: the invoice as a PDF, https.
            as_of: now, unless given.

        Returns:
            The invoice as it is stored.

        Raises InvalidInputError or NotFoundError.
        """
        now = self._clock()
        if not is_storable_id(invoice_id):
            raise InvalidInputError.of("invoice_id", "must be 1 to 255 characters of text")
        if wrong := why_not_whole(amount_cents, -MAX_AMOUNT, MAX_AMOUNT):
            raise InvalidInputError.of("amount_cents", wrong)
        if currency is not None and currency not in DECIMAL_PLACES:
            raise InvalidInputError.of("currency", "must be a code of ISO 4217, such as EUR")
        invoice = ExtendedInvoiceResult(
            invoice_id=invoice_id,
            period_start=utc_time("period_start", period_start),
            period_end=utc_time("period_end", period_end),
            amount_cents=amount_cents,
            status=invoice_status(status),
            description=clean_text("description", description, max_length=1_000),
            currency=currency,
            number=None if number is None else clean_line("number", number),
            hosted_url=None if hosted_url is None else https_url("hosted_url", hosted_url),
            pdf_url=None if pdf_url is None else https_url("pdf_url", pdf_url),
        )
        moment = _as_of(as_of, now)
        await self._lock(session, tenant_id)
        await self._billing.put_invoice(session, tenant_id, invoice, now, as_of=moment, actor=actor)
        return await self._billing.find_invoice(session, tenant_id, invoice_id) or invoice

    @records("tenant.invoice_recorded", "tenant.subscription_changed")
    async def record_payment(
        self,
        session: Session,
        tenant_id: str,
        *,
        invoice_id: str,
        as_of: datetime | None = None,
        actor: str | None = None,
    ) -> ExtendedInvoiceResult:
        """Mark an invoice as paid, and a subscription that was past due as active.

        Returns:
            The invoice as it is stored.

        Raises InvalidInputError or NotFoundError (there is no such invoice, or not yet).
        """
        now = self._clock()
        moment = _as_of(as_of, now)
        await self._lock(session, tenant_id)
        invoice = await self._billing.find_invoice(session, tenant_id, invoice_id)
        if invoice is None:
            raise NotFoundError("This tenant has no such invoice.")
        paid = replace(invoice, status=InvoiceStatus.PAID)
        await self._billing.put_invoice(session, tenant_id, paid, now, as_of=moment, actor=actor)
        await self._billing.note_payment(session, tenant_id, invoice_id, as_of=moment)
        await self._settle(session, tenant_id, now, actor=actor)
        return await self._billing.find_invoice(session, tenant_id, invoice_id) or paid

    async def _settle(self, session: Session, tenant_id: str, now: datetime, *, actor: str | None) -> None:
        """Have the subscription be active if it was past due and the latest payment came then or later.

        Whichever of the two becomes known first, the outcome is the same.
        """
        current = await self._billing.find_subscription(session, tenant_id)
        if current is None or current.status is not SubscriptionStatus.PAST_DUE:
            return
        paid_as_of = await self._billing.latest_payment(session, tenant_id)
        if paid_as_of is not None:
            active = replace(current, status=SubscriptionStatus.ACTIVE)
            await self._billing.put_subscription(session, active, now, as_of=paid_as_of, actor=actor)

    async def _lock(self, session: Session, tenant_id: str) -> None:
        if not await self._billing.lock_tenant(session, tenant_id):
            raise _no_such_tenant()


def _as_of(given: datetime | None, now: datetime) -> datetime:
    return now if given is None else utc_time("as_of", given)


def _no_such_tenant() -> NotFoundError:
    return NotFoundError("There is no such tenant.")
