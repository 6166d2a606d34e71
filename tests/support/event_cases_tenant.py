"""A case for each event of the tenant itself."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from support.event_scene import OPERATOR, Case, Scene
from support.events import ParsedEvent

from hoc.cus.account.L5_schemas import events
from hoc.cus.account.L5_schemas.values import (
    BillingPeriod,
    InvoiceStatus,
    Plan,
    SubscriptionStatus,
    TenantStatus,
)

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, 2, 3, 4, 50_000, tzinfo=UTC)


async def _offer_anew(it: Scene, session: Any) -> None:
    await it.facade.ownership.cancel(session, it.tenant_id, it.team.member)
    await it.facade.ownership.start(session, it.tenant_id, it.team.owner, it.team.admin)


TENANT_CASES: Final = {
    "tenant.created": Case(
        lambda it, s: it.facade.projects.create(s, it.team.owner, name="Ü", slug=f"u-{it.tenant_id[-12:]}"),
        lambda it, made: ParsedEvent(
            events.TenantCreatedEventData(
                made.value.project_id, "Ü", made.value.slug, it.team.owner, created_at=it.now
            ),
            actor=it.team.owner,
            tenant_id=made.value.project_id,
            user_id=it.team.owner,
        ),
        beside=("member.joined",),
    ),
    "tenant.updated": Case(
        lambda it, s: it.facade.projects.update(
            s,
            it.tenant_id,
            it.team.admin,
            it.tenant_id,
            name="Ü",
            slug=f"u-{it.tenant_id[-12:]}",
            description="Not for everybody",
            metadata={"not": "for everybody"},
        ),
        lambda it, _: it.event(
            events.TenantUpdatedEventData(
                it.tenant_id,
                "Ü",
                f"u-{it.tenant_id[-12:]}",
                ["name", "slug", "description", "metadata"],
                updated_at=it.now,
            ),
            it.team.admin,
        ),
    ),
    "tenant.status_changed": Case(
        lambda it, s: it.facade.projects.change_status(s, it.tenant_id, "suspended", actor=OPERATOR),
        lambda it, _: it.event(
            events.TenantStatusChangedEventData(it.tenant_id, TenantStatus.SUSPENDED, changed_at=it.now),
            OPERATOR,
        ),
    ),
    "tenant.onboarding_advanced": Case(
        lambda it, s: it.facade.projects.advance_onboarding(s, it.tenant_id, 2, actor=OPERATOR),
        lambda it, _: it.event(
            events.TenantOnboardingAdvancedEventData(it.tenant_id, 2, changed_at=it.now), OPERATOR
        ),
    ),
    "tenant.quotas_changed": Case(
        lambda it, s: it.facade.projects.override_quotas(
            s, it.tenant_id, actor=OPERATOR, max_workers=0, max_tokens_per_month=9, max_api_keys=None
        ),
        lambda it, _: it.event(
            events.TenantQuotasChangedEventData(
                it.tenant_id, 0, None, None, 9, None, None, changed_at=it.now
            ),
            OPERATOR,
        ),
    ),
    "tenant.subscription_changed": Case(
        lambda it, s: it.facade.billing.set_subscription(
            s,
            it.tenant_id,
            plan="pro",
            billing_period="yearly",
            current_period_start=MARCH,
            current_period_end=APRIL,
            actor=OPERATOR,
        ),
        lambda it, _: it.event(
            events.TenantSubscriptionChangedEventData(
                it.tenant_id,
                plan=Plan.PRO,
                tenant_plan=Plan.PRO,
                status=SubscriptionStatus.ACTIVE,
                billing_period=BillingPeriod.YEARLY,
                current_period_start=MARCH,
                current_period_end=APRIL,
                next_invoice_date=None,
                changed_at=it.now,
            ),
            OPERATOR,
        ),
    ),
    "tenant.invoice_recorded": Case(
        lambda it, s: it.facade.billing.record_invoice(
            s,
            it.tenant_id,
            invoice_id="in_1",
            period_start=MARCH,
            period_end=APRIL,
            amount_cents=2**63 - 1,
            status="open",
            description="Not for everybody",
            currency="JPY",
            actor=OPERATOR,
        ),
        lambda it, _: it.event(
            events.TenantInvoiceRecordedEventData(
                it.tenant_id, "in_1", MARCH, APRIL, 2**63 - 1, InvoiceStatus.OPEN, "JPY", recorded_at=it.now
            ),
            OPERATOR,
        ),
    ),
    "tenant.transfer_offered": Case(
        _offer_anew,
        lambda it, _: it.event(
            events.TenantTransferOfferedEventData(
                it.tenant_id, it.team.owner, it.team.admin, it.now, expires_at=it.now + timedelta(days=7)
            ),
            it.team.owner,
            user=it.team.admin,
        ),
        beside=("tenant.transfer_canceled",),
        again=lambda it, s: it.facade.ownership.start(s, it.tenant_id, it.team.owner, it.team.admin),
    ),
    "tenant.transfer_accepted": Case(
        lambda it, s: it.facade.ownership.accept(s, it.tenant_id, it.team.member),
        lambda it, _: it.event(
            events.TenantTransferAcceptedEventData(
                it.tenant_id, it.team.owner, it.team.member, accepted_at=it.now
            ),
            it.team.member,
            user=it.team.member,
        ),
        beside=("member.role_changed", "member.role_changed"),
    ),
    "tenant.transfer_canceled": Case(
        lambda it, s: it.facade.ownership.cancel(s, it.tenant_id, it.team.owner),
        lambda it, _: it.event(
            events.TenantTransferCanceledEventData(
                it.tenant_id, it.team.owner, it.team.member, canceled_at=it.now
            ),
            it.team.owner,
            user=it.team.member,
        ),
    ),
}
