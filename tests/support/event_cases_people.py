"""A case for each event of a member, an invitation or a ticket."""

from datetime import timedelta
from typing import Any, Final

from support.directories import put_user
from support.event_scene import OPERATOR, Case, Scene
from support.events import ParsedEvent

from hoc.cus.account.L5_schemas import events
from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.cus.account.L5_schemas.values import MailDelivery, Role, TicketCategory, TicketPriority, TicketStatus

SCIM_TOKEN: Final = "sct_1"


async def _regroup(it: Scene, session: Any) -> None:
    """Have the directory put the invited person into a group that gives a role."""
    provisioning, caller = it.facade.provisioning, ScimCaller(it.tenant_id, SCIM_TOKEN)
    await put_user(it.world, session, it.tenant_id, "scu_1", groups=["Admins"])
    await provisioning.user_written(session, caller, "scu_1", [it.email], was_active=False)
    await it.facade.scim_group_roles.set(session, it.tenant_id, it.team.owner, "Admins", role=Role.ADMIN)
    await provisioning.groups_changed(session, caller, ["scu_1"])


async def _reopen(it: Scene, session: Any) -> None:
    await it.facade.support.resolve(session, it.tenant_id, it.ticket_id, it.team.admin)
    await it.facade.support.reopen(session, it.tenant_id, it.ticket_id, it.team.viewer)


PEOPLE_CASES: Final = {
    "member.joined": Case(
        lambda it, s: it.facade.acceptances.accept(s, it.invitation_id, it.token),
        lambda it, _: it.event(
            events.MemberJoinedEventData(
                it.tenant_id, it.invited, Role.MEMBER, it.team.owner, joined_at=it.now
            ),
            it.invited,
            user=it.invited,
        ),
        beside=("invitation.accepted",),
    ),
    "member.updated": Case(
        lambda it, s: it.facade.members.update(
            s, it.tenant_id, it.team.admin, it.team.viewer, metadata={"not": "for everybody"}
        ),
        lambda it, _: it.event(
            events.MemberUpdatedEventData(it.tenant_id, it.team.viewer, ["metadata"], updated_at=it.now),
            it.team.admin,
            user=it.team.viewer,
        ),
    ),
    "member.role_changed": Case(
        lambda it, s: it.facade.members.change_role(s, it.tenant_id, it.team.owner, it.team.viewer, "member"),
        lambda it, _: it.event(
            events.MemberRoleChangedEventData(
                it.tenant_id, it.team.viewer, Role.MEMBER, Role.VIEWER, changed_at=it.now
            ),
            it.team.owner,
            user=it.team.viewer,
        ),
    ),
    "member.removed": Case(
        lambda it, s: it.facade.members.remove(s, it.tenant_id, it.team.admin, it.team.viewer),
        lambda it, _: it.event(
            events.MemberRemovedEventData(it.tenant_id, it.team.viewer, Role.VIEWER, removed_at=it.now),
            it.team.admin,
            user=it.team.viewer,
        ),
    ),
    "member.left": Case(
        lambda it, s: it.facade.members.leave(s, it.tenant_id, it.team.admin),
        lambda it, _: it.event(
            events.MemberLeftEventData(it.tenant_id, it.team.admin, Role.ADMIN, left_at=it.now),
            it.team.admin,
            user=it.team.admin,
        ),
    ),
    "invitation.created": Case(
        lambda it, s: it.facade.invitations.invite(
            s, it.tenant_id, it.team.admin, email=f"New-{it.email}", role="viewer", expires_in_days=3
        ),
        lambda it, made: it.event(
            events.InvitationCreatedEventData(
                it.tenant_id,
                made.id,
                f"New-{it.email}",
                Role.VIEWER,
                it.team.admin,
                MailDelivery.QUEUED,
                created_at=it.now,
                expires_at=it.now + timedelta(days=3),
            ),
            it.team.admin,
        ),
    ),
    "invitation.resent": Case(
        lambda it, s: it.facade.invitations.resend(s, it.tenant_id, it.team.admin, it.invitation_id),
        lambda it, _: it.event(
            events.InvitationResentEventData(
                it.tenant_id,
                it.invitation_id,
                it.email,
                Role.MEMBER,
                it.team.admin,
                MailDelivery.QUEUED,
                resent_at=it.now,
                expires_at=it.now + timedelta(days=7),
            ),
            it.team.admin,
        ),
        again=lambda it, s: it.facade.invitations.resend(s, it.tenant_id, it.team.viewer, it.invitation_id),
    ),
    "invitation.mail_sent": Case(
        lambda it, s: it.world.settle_mail(s, it.tenant_id, it.invitation_id),
        lambda it, _: ParsedEvent(
            events.InvitationMailSentEventData(
                it.tenant_id, it.invitation_id, it.email, Role.MEMBER, it.team.owner, sent_at=it.now
            ),
            actor=None,
            tenant_id=it.tenant_id,
            user_id=None,
        ),
    ),
    "invitation.mail_delayed": Case(
        lambda it, s: it.world.settle_mail(s, it.tenant_id, it.invitation_id, delayed=True),
        lambda it, _: ParsedEvent(
            events.InvitationMailDelayedEventData(
                it.tenant_id, it.invitation_id, it.email, Role.MEMBER, it.team.owner, delayed_at=it.now
            ),
            actor=None,
            tenant_id=it.tenant_id,
            user_id=None,
        ),
    ),
    "invitation.delivery_failed": Case(
        lambda it, s: it.world.settle_mail(s, it.tenant_id, it.invitation_id, failure="no such mailbox"),
        lambda it, _: ParsedEvent(
            events.InvitationDeliveryFailedEventData(
                it.tenant_id,
                it.invitation_id,
                it.email,
                Role.MEMBER,
                it.team.owner,
                "no such mailbox",
                failed_at=it.now,
            ),
            actor=None,
            tenant_id=it.tenant_id,
            user_id=None,
        ),
    ),
    "invitation.link_issued": Case(
        lambda it, s: it.facade.invitations.link(s, it.tenant_id, it.team.admin, it.invitation_id),
        lambda it, _: it.event(
            events.InvitationLinkIssuedEventData(
                it.tenant_id, it.invitation_id, it.email, Role.MEMBER, it.team.admin, issued_at=it.now
            ),
            it.team.admin,
        ),
        again=lambda it, s: it.facade.invitations.link(s, it.tenant_id, it.team.viewer, it.invitation_id),
    ),
    "invitation.revoked": Case(
        lambda it, s: it.facade.invitations.revoke(s, it.tenant_id, it.team.admin, it.invitation_id),
        lambda it, _: it.event(
            events.InvitationRevokedEventData(
                it.tenant_id, it.invitation_id, it.email, Role.MEMBER, revoked_at=it.now
            ),
            it.team.admin,
        ),
    ),
    "invitation.role_changed": Case(
        _regroup,
        lambda it, _: it.event(
            events.InvitationRoleChangedEventData(
                it.tenant_id, it.invitation_id, Role.ADMIN, Role.MEMBER, changed_at=it.now
            ),
            f"scim:{SCIM_TOKEN}",
        ),
        beside=("scim.group_role_set",),
        again=lambda it, s: it.facade.provisioning.groups_changed(
            s, ScimCaller(it.tenant_id, SCIM_TOKEN), ["scu_1"]
        ),
    ),
    "invitation.declined": Case(
        lambda it, s: it.facade.received_invitations.decline(s, it.invited, it.invitation_id, it.token),
        lambda it, _: it.event(
            events.InvitationDeclinedEventData(
                it.tenant_id, it.invitation_id, it.email, Role.MEMBER, declined_at=it.now
            ),
            it.invited,
        ),
    ),
    "invitation.accepted": Case(
        lambda it, s: it.facade.acceptances.accept(s, it.invitation_id, it.token, caller_user_id=it.invited),
        lambda it, _: it.event(
            events.InvitationAcceptedEventData(
                it.tenant_id, it.invitation_id, it.invited, Role.MEMBER, accepted_at=it.now
            ),
            it.invited,
            user=it.invited,
        ),
        beside=("member.joined",),
    ),
    "ticket.created": Case(
        lambda it, s: it.facade.support.create_ticket(
            s,
            it.tenant_id,
            it.team.viewer,
            subject="Help",
            description="Not for everybody",
            category="billing",
            priority="urgent",
        ),
        lambda it, made: it.event(
            events.TicketCreatedEventData(
                it.tenant_id,
                made.id,
                it.team.viewer,
                "Help",
                TicketCategory.BILLING,
                TicketPriority.URGENT,
                created_at=it.now,
            ),
            it.team.viewer,
            user=it.team.viewer,
        ),
        again=lambda it, s: it.facade.support.create_ticket(
            s, it.tenant_id, it.invited, subject="Help", description="By nobody of this tenant"
        ),
    ),
    "ticket.updated": Case(
        lambda it, s: it.facade.support.change_ticket_status(
            s, it.tenant_id, it.ticket_id, status="in_progress", resolution="Nearly done", actor=OPERATOR
        ),
        lambda it, _: it.event(
            events.TicketUpdatedEventData(
                it.tenant_id,
                it.ticket_id,
                it.team.viewer,
                TicketStatus.IN_PROGRESS,
                "Nearly done",
                updated_at=it.now,
            ),
            OPERATOR,
            user=it.team.viewer,
        ),
    ),
    "ticket.replied": Case(
        lambda it, s: it.facade.support.reply(
            s, it.tenant_id, it.ticket_id, OPERATOR, text="Not for everybody", as_support=True
        ),
        lambda it, made: it.event(
            events.TicketRepliedEventData(
                it.tenant_id,
                it.ticket_id,
                it.team.viewer,
                made.id,
                is_support=True,
                status=TicketStatus.IN_PROGRESS,
                replied_at=it.now,
            ),
            OPERATOR,
            user=it.team.viewer,
        ),
        again=lambda it, s: it.facade.support.reply(
            s, it.tenant_id, it.ticket_id, it.team.member, text="To another's ticket"
        ),
    ),
    "ticket.resolved": Case(
        lambda it, s: it.facade.support.resolve(
            s, it.tenant_id, it.ticket_id, it.team.admin, resolution="Done"
        ),
        lambda it, _: it.event(
            events.TicketResolvedEventData(
                it.tenant_id,
                it.ticket_id,
                it.team.viewer,
                TicketStatus.RESOLVED,
                "Done",
                resolved_at=it.now,
            ),
            it.team.admin,
            user=it.team.viewer,
        ),
    ),
    "ticket.reopened": Case(
        _reopen,
        lambda it, _: it.event(
            events.TicketReopenedEventData(
                it.tenant_id, it.ticket_id, it.team.viewer, TicketStatus.OPEN, reopened_at=it.now
            ),
            it.team.viewer,
            user=it.team.viewer,
        ),
        beside=("ticket.resolved",),
        again=lambda it, s: it.facade.support.reopen(s, it.tenant_id, it.ticket_id, it.team.viewer),
    ),
}
