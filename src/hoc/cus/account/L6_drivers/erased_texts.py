"""Emptying what is personal in invitations, tickets and stored answers. The rows stay."""

from sqlalchemy import Text, case, delete, literal_column, null, select, text, tuple_, update

from hoc.cus.account.L5_schemas.events import InvitationRevokedEventData
from hoc.cus.account.L5_schemas.values import InvitationStatus
from hoc.cus.account.L6_drivers.execution import AnySelect
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, USER
from hoc.cus.account.L6_drivers.invitation_counts import count_closed
from hoc.cus.account.L6_drivers.invitation_sending import EMAIL_KEY, INVITATION, IS_PENDING, THIS
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import (
    dead_messages,
    idempotency_keys,
    invitation_mails,
    invitations,
    recipient_limits,
    support_tickets,
    ticket_mails,
    ticket_replies,
)
from hoc.cus.account.L6_drivers.tickets import TICKET

EMPTY = literal_column("''", Text)

_EMPTIED = {
    "email": EMPTY,
    "email_key": EMPTY,
    "token_hash": null(),
    # A mail that failed has an error, which may quote the address.
    "delivery_error": case((invitations.c.delivery_error.is_not(None), EMPTY)),
}


def _revoke_and_empty() -> AnySelect:
    revoked = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(**_EMPTIED, status=InvitationStatus.REVOKED, updated_at=NOW)
        .returning(*invitations.c)
        .cte("revoked")
    )
    invitation_revoked = recorded(InvitationRevokedEventData, revoked)
    return select(revoked.c.invitation_id).add_cte(*count_closed(revoked), invitation_revoked)


REVOKE_AND_EMPTY = _revoke_and_empty()
EMPTY_INVITATION = (
    update(invitations)
    .where(THIS, invitations.c.email != EMPTY)
    .values(**_EMPTIED)
    .returning(invitations.c.invitation_id)
)
DROP_INVITATION_MAIL = (
    delete(invitation_mails)
    .where(invitation_mails.c.tenant_id == TENANT, invitation_mails.c.invitation_id == INVITATION)
    .returning(invitation_mails.c.mail_id)
)

EMPTY_TICKETS = (
    update(support_tickets)
    .where(support_tickets.c.user_id == USER)
    .values(subject=EMPTY, description=EMPTY, resolution=None)
    .returning(support_tickets.c.tenant_id, support_tickets.c.ticket_id)
)
EMPTY_OWN_REPLIES = (
    update(ticket_replies)
    .where(ticket_replies.c.author_id == USER)
    .values(text=EMPTY)
    .returning(ticket_replies.c.reply_id)
)
# Those of others to the person's tickets are about the person.
EMPTY_RECEIVED_REPLIES = (
    update(ticket_replies)
    .where(
        ticket_replies.c.tenant_id == support_tickets.c.tenant_id,
        ticket_replies.c.ticket_id == support_tickets.c.ticket_id,
        support_tickets.c.user_id == USER,
    )
    .values(text=EMPTY)
    .returning(ticket_replies.c.reply_id)
)
DROP_TICKET_MAIL = (
    delete(ticket_mails)
    .where(ticket_mails.c.tenant_id == TENANT, ticket_mails.c.ticket_id == TICKET)
    .returning(ticket_mails.c.mail_id)
)

# A limit that somebody is counting by is of an invitation after the erasure. The others end in two days.
DROP_LIMITS = (
    delete(recipient_limits)
    .where(
        tuple_(*recipient_limits.primary_key).in_(
            select(*recipient_limits.primary_key)
            .where(recipient_limits.c.email_key == EMAIL_KEY)
            .with_for_update(skip_locked=True)
        )
    )
    .returning(recipient_limits.c.email_key)
)
DROP_DEAD_MESSAGES = text(
    f"DELETE FROM {dead_messages.fullname}"  # noqa: S608 - a constant
    " WHERE position(convert_to(:given_email, 'UTF8') IN data) > 0 RETURNING message_id"
)

# The key stays, so that a repeated request is not done a second time.
BLANK_ANSWERS = (
    update(idempotency_keys)
    .where(idempotency_keys.c.tenant_id == TENANT, idempotency_keys.c.response.is_not(None))
    .values(response=None)
    .returning(idempotency_keys.c.key)
)
