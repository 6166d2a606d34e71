"""A call of every operation that changes something: through the facade where the facade has the operation.

The name is the engine's and the method's. A word follows when there are two calls of one operation.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from support.event_cases_domains import ask, check_in_vain, claim, let_join_at_once
from support.event_cases_scim import (
    make_token,
    remove_role,
    revoke_newest,
    set_role,
    use_newest,
)
from support.event_cases_webhooks import create as create_webhook
from support.event_cases_webhooks import disable, endpoint, send_test
from support.event_scene import Operation, Scene
from support.webhooks import Deliverer

from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
    SignInRequest,
)
from hoc.cus.account.L5_schemas.port_types import Invitee
from hoc.cus.account.L5_schemas.webhooks import WebhookAttempt

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


async def refuse_event(it: Scene, session: Any) -> None:
    """An endpoint with an event that it has been sent, and refused."""
    endpoint_id = await create_webhook(it, session)
    deliverer = Deliverer(it.world)
    leased = await deliverer.lease_in(session, it.tenant_id, endpoint_id)
    attempt = WebhookAttempt("evt_1", "member.joined", 1, it.now, 400, None, 1)
    await deliverer.rules.record(session, leased, [], [attempt])


async def on_webhook(it: Scene, session: Any, method: str, *given: Any) -> object:
    operation = getattr(it.facade.webhooks, method)
    return await operation(session, it.tenant_id, it.team.owner, await endpoint(it, session), *given)


MUTATIONS: Final[dict[str, Operation]] = {
    "projects.create": lambda it, s: it.facade.projects.create(s, it.team.owner, name="Another"),
    "projects.update": lambda it, s: it.facade.projects.update(
        s,
        it.tenant_id,
        it.team.owner,
        it.tenant_id,
        name="N",
        slug=f"n-{it.tenant_id[-12:]}",
        metadata={"a": 1},
    ),
    "projects.change_status": lambda it, s: it.facade.projects.change_status(s, it.tenant_id, "suspended"),
    "projects.advance_onboarding": lambda it, s: it.facade.projects.advance_onboarding(s, it.tenant_id, 2),
    "projects.override_quotas": lambda it, s: it.facade.projects.override_quotas(
        s, it.tenant_id, max_workers=9
    ),
    "members.update": lambda it, s: it.facade.members.update(
        s, it.tenant_id, it.team.owner, it.team.member, metadata={"a": 1}
    ),
    "members.change_role": lambda it, s: it.facade.update_user_role(
        s, it.tenant_id, it.team.owner, it.team.member, "viewer"
    ),
    "members.remove": lambda it, s: it.facade.remove_user(s, it.tenant_id, it.team.owner, it.team.viewer),
    "members.leave": lambda it, s: it.facade.members.leave(s, it.tenant_id, it.team.viewer),
    "ownership.start": lambda it, s: it.facade.ownership.start(s, it.tenant_id, it.team.owner, it.team.admin),
    "ownership.accept": lambda it, s: it.facade.ownership.accept(s, it.tenant_id, it.team.member),
    "ownership.cancel": lambda it, s: it.facade.ownership.cancel(s, it.tenant_id, it.team.owner),
    "profiles.update": lambda it, s: it.facade.update_profile(
        s, it.team.owner, display_name="Ada", timezone_str="UTC", locale="de", preferences={"a": 1}
    ),
    "billing.set_subscription": lambda it, s: it.facade.billing.set_subscription(
        s, it.tenant_id, plan="pro", current_period_start=MARCH, current_period_end=APRIL
    ),
    "billing.cancel_subscription": lambda it, s: it.facade.billing.cancel_subscription(s, it.tenant_id),
    "billing.record_invoice": lambda it, s: it.facade.billing.record_invoice(
        s,
        it.tenant_id,
        invoice_id="in_1",
        period_start=MARCH,
        period_end=APRIL,
        amount_cents=1,
        status="open",
        description="March",
    ),
    "billing.record_payment": lambda it, s: it.facade.billing.record_payment(
        s, it.tenant_id, invoice_id="in_1"
    ),
    "usage.record": lambda it, s: it.facade.usage.record(s, it.tenant_id, runs=1, tokens=1),
    "leases.acquire": lambda it, s: it.facade.leases.acquire(s, it.tenant_id, "max_workers", "w"),
    "leases.renew": lambda it, s: it.facade.leases.renew(s, it.tenant_id, "max_workers", "w", seconds=3_600),
    "leases.release": lambda it, s: it.facade.leases.release(s, it.tenant_id, "max_workers", "w"),
    "support.create_ticket": lambda it, s: it.facade.create_support_ticket(
        s, it.tenant_id, it.team.owner, subject="S", description="D"
    ),
    "support.change_ticket_status": lambda it, s: it.facade.support.change_ticket_status(
        s, it.tenant_id, it.ticket_id, status="resolved", resolution="Done"
    ),
    "support.reply": lambda it, s: it.facade.support.reply(
        s, it.tenant_id, it.ticket_id, it.team.viewer, text="Any news?"
    ),
    "support.reply by support": lambda it, s: it.facade.support.reply(
        s, it.tenant_id, it.ticket_id, "staff", text="Soon", as_support=True
    ),
    "support.resolve": lambda it, s: it.facade.support.resolve(
        s, it.tenant_id, it.ticket_id, it.team.viewer, resolution="Done"
    ),
    "support.reopen": lambda it, s: it.facade.support.reopen(s, it.tenant_id, it.ticket_id, it.team.viewer),
    "invitations.invite": lambda it, s: it.facade.invite_user(
        s, it.tenant_id, it.team.owner, email=it.world.new_email()
    ),
    "invitations.invite_many": lambda it, s: it.facade.invitations.invite_many(
        s, it.tenant_id, it.team.owner, [Invitee(it.world.new_email()), Invitee(it.world.new_email())]
    ),
    "invitations.resend": lambda it, s: it.facade.invitations.resend(
        s, it.tenant_id, it.team.admin, it.invitation_id
    ),
    "invitations.revoke": lambda it, s: it.facade.invitations.revoke(
        s, it.tenant_id, it.team.owner, it.invitation_id
    ),
    "invitations.link": lambda it, s: it.facade.invitations.link(
        s, it.tenant_id, it.team.owner, it.invitation_id
    ),
    "received_invitations.decline": lambda it, s: it.facade.received_invitations.decline(
        s, it.invited, it.invitation_id, it.token
    ),
    "received_invitations.decline_received": lambda it, s: it.facade.received_invitations.decline_received(
        s, it.invited, it.tenant_id, it.invitation_id
    ),
    "scim_tokens.create": make_token,
    "scim_tokens.revoke": revoke_newest,
    "scim_tokens.record_use": use_newest,
    "scim_group_roles.set": set_role,
    "scim_group_roles.remove": remove_role,
    "domains.claim": claim,
    "domains.update": lambda it, s: it.facade.domains.update(
        s, it.tenant_id, it.team.owner, it.domain, joining="ask"
    ),
    "domains.remove": lambda it, s: it.facade.domains.remove(s, it.tenant_id, it.team.owner, it.domain),
    "domains.request_check": lambda it, s: it.facade.domains.request_check(
        s, it.tenant_id, it.team.admin, it.domain
    ),
    "domain_checks.record": lambda it, s: it.facade.domain_checks.record(s, it.tenant_id, it.domain, "found"),
    "joining.join": lambda it, s: it.facade.joining.join(s, it.outsider, it.tenant_id),
    "joining.grant": lambda it, s: it.facade.joining.grant(s, it.tenant_id, it.team.admin, it.outsider),
    "joining.refuse": lambda it, s: it.facade.joining.refuse(s, it.tenant_id, it.team.admin, it.outsider),
    "webhooks.create": create_webhook,
    "webhooks.update": disable,
    "webhooks.rotate_secret": lambda it, s: on_webhook(it, s, "rotate_secret"),
    "webhooks.delete": lambda it, s: on_webhook(it, s, "delete"),
    "webhooks.send_test": send_test,
    "webhooks.send_again": lambda it, s: on_webhook(it, s, "send_again", "evt_1"),
    "acceptances.accept_received": lambda it, s: it.facade.acceptances.accept_received(
        s, it.invited, it.tenant_id, it.invitation_id
    ),
    "acceptances.accept": lambda it, s: it.facade.accept_invitation(s, it.invitation_id, it.token),
    "acceptances.accept newcomer": lambda it, s: it.facade.accept_invitation(s, *it.newcomer),
}

PREPARED: Final[dict[str, Operation]] = {
    "ownership.start": MUTATIONS["ownership.cancel"],
    "billing.cancel_subscription": MUTATIONS["billing.set_subscription"],
    "billing.record_payment": MUTATIONS["billing.record_invoice"],
    "support.reopen": MUTATIONS["support.resolve"],
    "leases.renew": MUTATIONS["leases.acquire"],
    "leases.release": MUTATIONS["leases.acquire"],
    "scim_tokens.revoke": make_token,
    "scim_tokens.record_use": make_token,
    "scim_group_roles.remove": set_role,
    "domains.update": claim,
    "domains.remove": claim,
    "domains.request_check": check_in_vain,
    "domain_checks.record": claim,
    "joining.join": let_join_at_once,
    "joining.grant": ask,
    "joining.refuse": ask,
    "webhooks.update": create_webhook,
    "webhooks.rotate_secret": create_webhook,
    "webhooks.delete": create_webhook,
    "webhooks.send_test": create_webhook,
    "webhooks.send_again": refuse_event,
}
"""The operations that have to come before some of them."""


async def confirm_email_change(it: Scene) -> object:
    clock = it.world.clock
    step, clock.step = clock.step, timedelta(0)
    token = await it.world.draw_email_token(it.team.member)
    assert token is not None
    clock.step = step
    return await it.world.accounts.confirm_email_change(token)


ACCOUNT_MUTATIONS: Final[dict[str, Callable[[Scene], Awaitable[object]]]] = {
    "ensure_account": lambda it: it.world.accounts.ensure_account(
        AccountEnsureRequest(it.world.new_id(), it.world.new_email(), "Eve")
    ),
    "update_account_profile": lambda it: it.world.accounts.update_account_profile(
        it.invited, AccountUpdateRequest("Eve", it.world.new_email())
    ),
    "update_account_preferences": lambda it: it.world.accounts.update_account_preferences(
        it.invited, AccountPreferencesRequest({"a": 1})
    ),
    "change_account_status": lambda it: it.world.accounts.change_account_status(
        it.team.admin, AccountStatusChangeRequest(is_active=False)
    ),
    "update_versioned_profile": lambda it: it.world.accounts.update_versioned_profile(
        it.team.member, AccountUpdateRequest(name="Versioned")
    ),
    "update_own_profile": lambda it: it.world.accounts.update_own_profile(
        it.invited, AccountUpdateRequest("Eve", it.world.new_email())
    ),
    "email_change_link": lambda it: it.world.accounts.email_change_link(it.team.member),
    "cancel_email_change": lambda it: it.world.accounts.cancel_email_change(it.team.member),
    "confirm_email_change": confirm_email_change,
    "link_identity": lambda it: it.world.accounts.link_identity(it.invited, it.world.new_id()),
    "unlink_identity": lambda it: it.world.accounts.unlink_identity(it.team.member, "linked"),
    "record_sign_in": lambda it: it.world.accounts.record_sign_in(it.invited, SignInRequest("google")),
    "delete_account": lambda it: it.world.accounts.delete_account(it.team.viewer),
}
"""The identity service's, each a transaction of its own."""
