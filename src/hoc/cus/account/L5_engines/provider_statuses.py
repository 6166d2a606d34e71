"""The statuses of payment providers, and which of hoc's each one is. docs/how-to/billing.md has the table."""

from typing import Final

from hoc.cus.account.L5_engines.text import choice
from hoc.cus.account.L5_schemas.values import InvoiceStatus, SubscriptionStatus

SUBSCRIPTION_STATUSES: Final = {
    "in_trial": SubscriptionStatus.TRIALING,
    "on_trial": SubscriptionStatus.TRIALING,
    # Paid until the period ends.
    "non_renewing": SubscriptionStatus.ACTIVE,
    # The subscription is there, and a payment makes it active again.
    "unpaid": SubscriptionStatus.PAST_DUE,
    # Nothing is paid for: the tenant is on the free plan until a message says otherwise.
    "cancelled": SubscriptionStatus.CANCELED,
    "expired": SubscriptionStatus.CANCELED,
    "future": SubscriptionStatus.CANCELED,
    "incomplete": SubscriptionStatus.CANCELED,
    "incomplete_expired": SubscriptionStatus.CANCELED,
    "paused": SubscriptionStatus.CANCELED,
    "refunded": SubscriptionStatus.CANCELED,
    "transferred": SubscriptionStatus.CANCELED,
}

INVOICE_STATUSES: Final = {
    "pending": InvoiceStatus.DRAFT,
    "ready": InvoiceStatus.DRAFT,
    "billed": InvoiceStatus.OPEN,
    "incomplete": InvoiceStatus.OPEN,
    "not_paid": InvoiceStatus.OPEN,
    "past_due": InvoiceStatus.OPEN,
    "payment_due": InvoiceStatus.OPEN,
    "posted": InvoiceStatus.OPEN,
    "unpaid": InvoiceStatus.OPEN,
    "completed": InvoiceStatus.PAID,
    # What is not refunded stays paid; a credit note says how much was.
    "partial_refund": InvoiceStatus.PAID,
    "partially_refunded": InvoiceStatus.PAID,
    # Nothing is owed, and nothing was kept.
    "canceled": InvoiceStatus.VOID,
    "cancelled": InvoiceStatus.VOID,
    "refunded": InvoiceStatus.VOID,
    "voided": InvoiceStatus.VOID,
}


def subscription_status(given: str) -> SubscriptionStatus:
    """Return hoc's status for a status of hoc or of a provider. Raises InvalidInputError."""
    return choice("status", SUBSCRIPTION_STATUSES.get(given, given), SubscriptionStatus)


def invoice_status(given: str) -> InvoiceStatus:
    """Return hoc's status for a status of hoc or of a provider. Raises InvalidInputError."""
    return choice("status", INVOICE_STATUSES.get(given, given), InvoiceStatus)
