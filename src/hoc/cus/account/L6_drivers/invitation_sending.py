"""The statements that create and reissue invitations: they enforce quota and limits, and queue the mail."""

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    Integer,
    String,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import InvitationCreatedEventData, InvitationResentEventData
from hoc.cus.account.L5_schemas.values import DomainStatus, InvitationStatus, TenantStatus
from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, any_of, held_membership, quota
from hoc.cus.account.L6_drivers.invitation_counts import count_new
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.seats import held_seats, seats
from hoc.cus.account.L6_drivers.tables import (
    invitation_limits,
    invitation_mails,
    invitations,
    memberships,
    recipient_limits,
    tenant_domains,
    tenants,
    users,
)

INVITATION = param("invitation_id", String)
EMAIL = param("email", String)
EMAIL_KEY = param("email_key", String)
ROLE = param("role", String)
INVITED_BY = param("invited_by", String)
EXPIRES_AT = param("expires_at", DateTime(timezone=True))
DELIVERY = param("delivery", String)
DAY = param("day", Date)
PER_TENANT = param("per_tenant", Integer)
PER_RECIPIENT = param("per_recipient", Integer)

THIS = (invitations.c.tenant_id == TENANT) & (invitations.c.invitation_id == INVITATION)
# Not a parameter: a generic plan could not use the partial index.
IS_PENDING = invitations.c.status == literal_column(f"'{InvitationStatus.PENDING}'")
IS_OPEN = IS_PENDING & (invitations.c.expires_at > NOW)
THIS_ROW = select(invitations.c.invitation_id, IS_OPEN.label("is_open")).where(THIS).subquery("this_row")

RESULT = (
    invitations.c.invitation_id.label("id"),
    invitations.c.email,
    invitations.c.role,
    invitations.c.status,
    invitations.c.created_at,
    invitations.c.expires_at,
    invitations.c.invited_by,
    invitations.c.delivery,
    invitations.c.delivery_error,
)

IS_MEMBER = (
    exists()
    .where(
        memberships.c.tenant_id == TENANT,
        memberships.c.user_id == users.c.user_id,
        memberships.c.is_active,
        users.c.email_key == EMAIL_KEY,
        users.c.is_active,
        users.c.deleted_at.is_(None),  # as every active one is, but it is what the index asks for
    )
    .correlate_except(memberships, users)
)
OTHER_IS_PENDING = (
    exists()
    .where(
        invitations.c.tenant_id == TENANT,
        invitations.c.email_key == EMAIL_KEY,
        IS_OPEN,
        invitations.c.invitation_id != INVITATION,
    )
    .correlate_except(invitations)
)
# By a parameter and not by the tenant's column: on Citus, the two tables are on different nodes.
IS_IN_DOMAIN = (
    exists()
    .where(
        tenant_domains.c.tenant_id == TENANT,
        tenant_domains.c.domain == param("domain", String),
        tenant_domains.c.status == literal_column(f"'{DomainStatus.VERIFIED}'"),
    )
    .correlate_except(tenant_domains)
)
MAY_INVITE_TO_IT = ~tenants.c.invitations_only_to_domains | IS_IN_DOMAIN
OUTSIDE_DOMAINS = exists().where(tenants.c.tenant_id == TENANT, ~MAY_INVITE_TO_IT).correlate_except(tenants)

# Checked before either is counted, so that the refusal by one limit does not count for the other.
TENANT_LIMIT_REACHED = (
    exists()
    .where(
        invitation_limits.c.tenant_id == TENANT,
        invitation_limits.c.day == DAY,
        invitation_limits.c.sent >= PER_TENANT,
    )
    .correlate_except(invitation_limits)
)
RECIPIENT_LIMIT_REACHED = (
    exists()
    .where(
        recipient_limits.c.email_key == EMAIL_KEY,
        recipient_limits.c.day == DAY,
        recipient_limits.c.sent >= PER_RECIPIENT,
    )
    .correlate_except(recipient_limits)
)

QUOTA = quota("max_members")
SEATS = seats(TENANT, invitations.c.email_key != EMAIL_KEY)
QUOTA_USED_UP = (
    select(QUOTA)
    .where(
        tenants.c.tenant_id == TENANT,
        SEATS >= QUOTA,
        ~exists().where(THIS, IS_OPEN).correlate_except(invitations),
    )
    .scalar_subquery()
)


def _slots(allowed: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's CTE types do not compose
    """Count a mail for the tenant and for the recipient, if ``allowed`` has a row."""
    tenant_slot = (
        insert(invitation_limits)
        .from_select(["tenant_id", "day", "sent"], select(TENANT, DAY, literal(1)).select_from(allowed))
        .on_conflict_do_update(
            index_elements=[invitation_limits.c.tenant_id, invitation_limits.c.day],
            set_={"sent": invitation_limits.c.sent + 1},
            where=invitation_limits.c.sent < PER_TENANT,
        )
        .returning(invitation_limits.c.sent)
        .cte("tenant_slot")
    )
    return (
        insert(recipient_limits)
        .from_select(
            ["email_key", "day", "sent"], select(EMAIL_KEY, DAY, literal(1)).select_from(tenant_slot)
        )
        .on_conflict_do_update(
            index_elements=[recipient_limits.c.email_key, recipient_limits.c.day],
            set_={"sent": recipient_limits.c.sent + 1},
            where=recipient_limits.c.sent < PER_RECIPIENT,
        )
        .returning(recipient_limits.c.sent)
        .cte("recipient_slot")
    )


def _seated(allowed: CTE, slots: CTE, *, is_open: ColumnElement[bool] | None = None) -> CTE:
    """A row, if a seat is free now that the counters are locked, or the invitation is open and so has one."""
    open_or_not = false() if is_open is None else is_open
    # Materialized, so that no seat is held before the counters are locked.
    counted = (
        select(allowed.c.max_members, open_or_not.label("is_open"))
        .select_from(allowed.join(slots, true()))
        .cte("counted_mail")
        .prefix_with("MATERIALIZED")
    )
    has_seat = or_(counted.c.is_open, held_seats(EMAIL_KEY) < counted.c.max_members)
    return select(counted.c.max_members).where(has_seat).cte("seated")


def _granter(seated: CTE) -> CTE:
    """The inviter's membership, if it still may grant the role now that the counters are locked."""
    held = held_membership(INVITED_BY, after=seated)
    return (
        select(held.c.user_id)
        .where(any_of(held.c.role, "granters"), held.c.status == TenantStatus.ACTIVE)
        .cte("granter")
    )


def _queue(written: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's CTE types do not compose
    """Queue the mail of a written invitation, if it is to be mailed, in place of one that is still queued."""
    given = {"mail_id": param("mail_id", String), "attempts": literal(0), "due_at": NOW}
    return (
        insert(invitation_mails)
        .from_select(
            ["tenant_id", "invitation_id", *given],
            select(TENANT, written.c.id, *given.values()).where(written.c.delivery.is_not(None)),
        )
        .on_conflict_do_update(
            index_elements=[invitation_mails.c.tenant_id, invitation_mails.c.invitation_id],
            set_=given,
        )
        .cte("queued")
    )


def _directory(seated: CTE) -> CTE:
    """The tenant, in place of an inviter, if it still is active now that the counters are locked."""
    held = (
        select(tenants.c.tenant_id, tenants.c.status)
        .where(tenants.c.tenant_id == TENANT, exists().select_from(seated))
        .with_for_update(read=True)
        .cte("held_tenant")
    )
    return select(held.c.tenant_id).where(held.c.status == TenantStatus.ACTIVE).cte("granter")


def _create(*, by_directory: bool = False) -> AnySelect:
    inviter = (
        select(QUOTA).select_from(tenants).where(tenants.c.tenant_id == TENANT)
        if by_directory
        else select(memberships.c.user_id, QUOTA)
        .select_from(memberships.join(tenants))
        .where(
            memberships.c.tenant_id == TENANT,
            memberships.c.user_id == INVITED_BY,
            memberships.c.is_active,
            any_of(memberships.c.role, "granters"),
        )
    )
    allowed = inviter.where(
        tenants.c.status == TenantStatus.ACTIVE,
        MAY_INVITE_TO_IT,
        ~IS_MEMBER,
        ~OTHER_IS_PENDING,
        ~TENANT_LIMIT_REACHED,
        ~RECIPIENT_LIMIT_REACHED,
        SEATS < QUOTA,
    ).cte("allowed")
    seated = _seated(allowed, _slots(allowed))
    granter = _directory(seated) if by_directory else _granter(seated)
    given = {
        "invitation_id": INVITATION,
        "email": EMAIL,
        "role": ROLE,
        "invited_by": INVITED_BY,
        "created_at": NOW,
        "updated_at": NOW,
        "expires_at": EXPIRES_AT,
        "delivery": DELIVERY,
    }
    # Not one insert with DO UPDATE, which does not tell a new row, which is counted, from a replaced one.
    replaced = (
        update(invitations)
        .where(
            invitations.c.tenant_id == TENANT,
            invitations.c.email_key == EMAIL_KEY,
            IS_PENDING,
            invitations.c.expires_at <= NOW,
            exists().select_from(granter),
        )
        .values(given | {"token_hash": None, "delivery_error": None})
        .returning(*RESULT)
        .cte("replaced")
    )
    inserted = (
        insert(invitations)
        .from_select(
            ["tenant_id", "email_key", *given],
            select(TENANT, EMAIL_KEY, *given.values())
            .select_from(granter)
            .where(~exists().select_from(replaced)),
        )
        .on_conflict_do_nothing(
            index_elements=[invitations.c.tenant_id, invitations.c.email_key], index_where=IS_PENDING
        )
        .returning(*RESULT)
        .cte("inserted")
    )
    written = union_all(select(replaced), select(inserted)).cte("written")
    invitation_created = recorded(
        InvitationCreatedEventData, written, actor=INVITED_BY, tenant_id=TENANT, invitation_id=written.c.id
    )
    return select(written).add_cte(count_new(inserted), _queue(written), invitation_created)


def _reissue() -> AnySelect:
    allowed = (
        select(THIS_ROW, QUOTA)
        .select_from(THIS_ROW.join(tenants, tenants.c.tenant_id == TENANT))
        .where(
            MAY_INVITE_TO_IT,
            ~OTHER_IS_PENDING,
            ~TENANT_LIMIT_REACHED,
            ~RECIPIENT_LIMIT_REACHED,
            or_(THIS_ROW.c.is_open, SEATS < QUOTA),
        )
        .cte("allowed")
    )
    granter = _granter(_seated(allowed, _slots(allowed), is_open=allowed.c.is_open))
    written = (
        update(invitations)
        .where(THIS, IS_PENDING, exists().select_from(granter))
        .values(
            token_hash=None,
            invited_by=INVITED_BY,
            expires_at=EXPIRES_AT,
            updated_at=NOW,
            delivery=DELIVERY,
            delivery_error=None,
        )
        .returning(*RESULT)
        .cte("written")
    )
    invitation_resent = recorded(
        InvitationResentEventData, written, actor=INVITED_BY, tenant_id=TENANT, invitation_id=written.c.id
    )
    return select(written).add_cte(_queue(written), invitation_resent)


def _lock_recipients() -> AnySelect:
    """Locks in one order what batches count by: two with the same recipients in another order would deadlock.

    The rows themselves are counted in the caller's order, which decides who is invited up to a limit.
    """
    keys = (
        select(func.hashtext(func.unnest(param("email_keys", ARRAY(String)))).label("key"))
        .distinct()
        .order_by("key")
        .subquery("keys")
    )
    return select(
        func.pg_advisory_xact_lock(literal_column(str(int(AdvisoryLock.RECIPIENT)), Integer), keys.c.key)
    )


LOCK_RECIPIENTS = _lock_recipients()
CREATE = _create()
CREATE_BY_DIRECTORY = _create(by_directory=True)
REISSUE = _reissue()

OBSTACLES = select(
    IS_MEMBER.label("already_member"),
    OTHER_IS_PENDING.label("already_pending"),
    OUTSIDE_DOMAINS.label("outside_domains"),
    TENANT_LIMIT_REACHED.label("tenant_limit_reached"),
    RECIPIENT_LIMIT_REACHED.label("recipient_limit_reached"),
    QUOTA_USED_UP.label("max_members"),
)
