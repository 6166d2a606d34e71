"""Billing from events: the events that a payment provider's adapter publishes, and their handlers.

Events may arrive late or twice. Each takes effect as of the time at which it happened, and changes nothing if
newer data is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from hoc.cus.account.L5_engines.billing import Billing
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import FieldProblem, InvalidInputError
from hoc.cus.account.L5_schemas.values import (
    GivenBillingPeriod,
    GivenPlan,
)
from hoc.events.message import Handler, InboundMessage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PaymentCompletedData:
    """An invoice was paid. A subscription that was past due becomes active again."""

    subject: ClassVar[str] = "payment.completed"

    tenant_id: str
    invoice_id: str


@dataclass(frozen=True, slots=True)
class SubscriptionCreatedData:
    """A tenant has this subscription now, in place of an earlier one."""

    subject: ClassVar[str] = "subscription.created"

    tenant_id: str
    plan: GivenPlan
    current_period_start: datetime
    current_period_end: datetime
    status: str = "active"
    billing_period: GivenBillingPeriod = "monthly"
    next_invoice_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionCanceledData:
    """A tenant is back on the free plan."""

    subject: ClassVar[str] = "subscription.canceled"

    tenant_id: str


@dataclass(frozen=True, slots=True)
class InvoiceData:
    """An invoice as it is now, after it was created, finalized, paid or voided."""

    subject: ClassVar[str] = "invoice.*"

    tenant_id: str
    invoice_id: str
    period_start: datetime
    period_end: datetime
    amount_cents: int
    status: str
    description: str
    currency: str | None = None
    number: str | None = None
    hosted_url: str | None = None
    pdf_url: str | None = None


INBOUND: Final = (PaymentCompletedData, SubscriptionCreatedData, SubscriptionCanceledData, InvoiceData)


def billing_handlers(billing: Billing) -> dict[str, Handler]:
    """The handlers, by subject. They store the subscription and the invoices that the events describe."""

    async def payment_completed(session: Session, message: InboundMessage) -> None:
        data = _read(PaymentCompletedData, message)
        await billing.record_payment(session, data.tenant_id, invoice_id=data.invoice_id, as_of=message.time)

    async def subscription_created(session: Session, message: InboundMessage) -> None:
        data = _read(SubscriptionCreatedData, message)
        await billing.set_subscription(
            session,
            data.tenant_id,
            plan=data.plan,
            status=data.status,
            billing_period=data.billing_period,
            current_period_start=data.current_period_start,
            current_period_end=data.current_period_end,
            next_invoice_date=data.next_invoice_date,
            as_of=message.time,
        )

    async def subscription_canceled(session: Session, message: InboundMessage) -> None:
        data = _read(SubscriptionCanceledData, message)
        await billing.cancel_subscription(session, data.tenant_id, as_of=message.time)

    async def invoice(session: Session, message: InboundMessage) -> None:
        data = _read(InvoiceData, message)
        await billing.record_invoice(
            session,
            data.tenant_id,
            invoice_id=data.invoice_id,
            period_start=data.period_start,
            period_end=data.period_end,
            amount_cents=data.amount_cents,
            status=data.status,
            description=data.description,
            currency=data.currency,
            number=data.number,
            hosted_url=data.hosted_url,
            pdf_url=data.pdf_url,
            as_of=message.time,
        )

    return {
        PaymentCompletedData.subject: payment_completed,
        SubscriptionCreatedData.subject: subscription_created,
        SubscriptionCanceledData.subject: subscription_canceled,
        InvoiceData.subject: invoice,
    }


_adapter: Callable[[Any], TypeAdapter[Any]] = TypeAdapter


def _read(model: type[T], message: InboundMessage) -> T:
    """Parse the message's data strictly, but ignore unknown fields. Raises InvalidInputError."""
    try:
        data: T = _adapter(model).validate_json(orjson.dumps(message.data), strict=True)
    except orjson.JSONEncodeError:
        raise InvalidInputError.of("data", "is nested too deeply") from None
    except ValidationError as refusal:
        problems = tuple(
            FieldProblem("".join(f"/{part}" for part in found["loc"]), found["msg"])
            for found in refusal.errors(include_url=False, include_input=False, include_context=False)
        )
        summary = "; ".join(f"{problem.pointer} {problem.detail}" for problem in problems)
        raise InvalidInputError(f"{message.subject}: {summary}", problems=problems) from None
    return data
