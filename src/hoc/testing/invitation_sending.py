"""The obstacles to an invitation, and the counts of its mails."""

from datetime import datetime

from hoc.cus.account.L5_schemas.port_types import InvitationLimits, InviteObstacles, NewInvitation
from hoc.cus.account.L5_schemas.values import InvitationStatus
from hoc.testing.rows import InvitationRow
from hoc.testing.tables import Tables

NO_OBSTACLES = InviteObstacles(
    already_member=False,
    already_pending=False,
    outside_domains=False,
    tenant_limit_reached=False,
    recipient_limit_reached=False,
    max_members=None,
)


def obstacles_to(tables: Tables, invitation: NewInvitation, limits: InvitationLimits) -> InviteObstacles:
    account = tables.account_by_email(invitation.email_key)
    pending = pending_to(tables, invitation)
    day, limit = invitation.created_at.date(), tables.tenants[invitation.tenant_id].quota("max_members")
    own = tables.invitations.get((invitation.tenant_id, invitation.invitation_id))
    has_seat = (
        own is not None
        and own.status == InvitationStatus.PENDING
        and not has_expired(own, invitation.created_at)
    )
    seats = tables.seats(invitation.tenant_id, invitation.created_at, but_of=invitation.email_key)
    return InviteObstacles(
        already_member=account is not None
        and tables.active_membership(invitation.tenant_id, account.user_id) is not None,
        already_pending=pending is not None and not has_expired(pending, invitation.created_at),
        outside_domains=tables.tenants[invitation.tenant_id].invitations_only_to_domains
        and not tables.has_domain(invitation.tenant_id, invitation.domain),
        tenant_limit_reached=tables.tenant_mails.get((invitation.tenant_id, day), 0)
        >= limits.per_tenant_per_day,
        recipient_limit_reached=tables.recipient_mails.get((invitation.email_key, day), 0)
        >= limits.per_recipient_per_day,
        max_members=limit if seats >= limit and not has_seat else None,
    )


def pending_to(tables: Tables, invitation: NewInvitation) -> InvitationRow | None:
    """Another pending invitation of the tenant to the address, expired or not."""
    return next(
        (
            row
            for (tenant_id, invitation_id), row in tables.invitations.items()
            if (tenant_id, row.email_key) == (invitation.tenant_id, invitation.email_key)
            and invitation_id != invitation.invitation_id
            and row.status == InvitationStatus.PENDING
        ),
        None,
    )


def count_mail(tables: Tables, invitation: NewInvitation) -> None:
    day = invitation.created_at.date()
    for mails, key in (
        (tables.tenant_mails, (invitation.tenant_id, day)),
        (tables.recipient_mails, (invitation.email_key, day)),
    ):
        mails[key] = mails.get(key, 0) + 1


def has_expired(row: InvitationRow, now: datetime) -> bool:
    return row.status == InvitationStatus.PENDING and row.expires_at <= now
