"""What follows from the users of a tenant's directory: invitations, memberships and their roles.

A directory proves no address. It can only have an account join at once whose address is verified, in a domain
that the tenant has proved. Everybody else is invited, and joins by accepting.

Everything is locked in the order of the other engines: an invitation, or an account and its domain, before
the tenant.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.invitation_links import tenant_not_active
from hoc.cus.account.L5_engines.invitation_refusals import refusal_of
from hoc.cus.account.L5_engines.invitation_store import InvitationStore
from hoc.cus.account.L5_engines.invitations import DEFAULT_DAYS
from hoc.cus.account.L5_engines.joining import JoinStore, require_seat
from hoc.cus.account.L5_engines.members import MemberStore
from hoc.cus.account.L5_engines.scim_group_roles import highest_role
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError, LastOwnerError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import EmailAddress, NewInvitation
from hoc.cus.account.L5_schemas.scim import DirectoryUser, ScimCaller
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery, Role, TenantStatus

_OF_USERS: Final = (
    "member.joined",
    "member.removed",
    "member.role_changed",
    "invitation.created",
    "invitation.revoked",
)


class DirectoryStore(Protocol):
    async def lock(self, session: Session, tenant_id: str) -> None:
        """Have no one else write the tenant's directory until the transaction ends."""
        ...

    async def tenant_status(self, session: Session, tenant_id: str) -> TenantStatus | None: ...

    async def find(
        self, session: Session, tenant_id: str, resource_ids: Collection[str], now: datetime
    ) -> list[DirectoryUser]:
        """Those of the users that there are, in the order of their ids."""
        ...

    async def set_address(
        self, session: Session, tenant_id: str, resource_id: str, address: EmailAddress | None
    ) -> None: ...

    async def link(
        self,
        session: Session,
        tenant_id: str,
        resource_id: str,
        *,
        user_id: str | None,
        invitation_id: str | None,
    ) -> None:
        """Store whose the resource is, or which invitation will tell."""
        ...


class GroupRoles(Protocol):
    async def roles_by_group(self, session: Session, tenant_id: str) -> Mapping[str, Role]:
        """The role of each group that gives one, by the group's key."""
        ...


class Provisioning:
    def __init__(
        self,
        directory: DirectoryStore,
        group_roles: GroupRoles,
        joins: JoinStore,
        members: MemberStore,
        invitations: InvitationStore,
        *,
        options: Options | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._directory = directory
        self._group_roles = group_roles
        self._joins = joins
        self._members = members
        self._invitations = invitations
        self._options = options or Options()
        self._clock = clock

    async def begin(self, session: Session, caller: ScimCaller) -> None:
        """Begin to write the directory; no one else does until the transaction ends.

        Raises TenantNotActiveError.
        """
        await self._directory.lock(session, caller.tenant_id)
        await self._require_active(session, caller)

    @records(*_OF_USERS)
    async def user_written(
        self,
        session: Session,
        caller: ScimCaller,
        resource_id: str,
        emails: Sequence[str],
        *,
        was_active: bool,
    ) -> None:
        """Have account and membership follow from a user that was created or changed.

        Args:
            emails: the user's addresses; the first to which mail can be sent counts.
            was_active: before the change; False for a new user.

        Raises:
            TenantNotActiveError
            LastOwnerError: the tenant's last owner is not active any more.
            LimitExceededError: no seat is free, or too many invitations were sent today.
            ForbiddenError: the tenant invites only addresses in its domains.
            ConflictError: the tenant changed meanwhile.
        """
        user = await self._find(session, caller, resource_id)
        address = self._address(emails)
        has_moved = (address.key if address else None) != user.email_key
        if has_moved:
            await self._without_invitation(session, caller, user)
            await self._directory.set_address(session, caller.tenant_id, resource_id, address)
            user = await self._find(session, caller, resource_id)
        if not user.is_active:
            await self._end(session, caller, user)
        elif has_moved or not was_active:
            await self._start(session, caller, user, address)

    @records("member.removed", "invitation.revoked")
    async def user_removed(self, session: Session, caller: ScimCaller, resource_id: str) -> None:
        """End what follows from a user that is about to be deleted.

        Raises TenantNotActiveError or LastOwnerError.
        """
        for user in await self._directory.find(session, caller.tenant_id, [resource_id], self._clock()):
            await self._end(session, caller, user)

    @records("member.role_changed", "invitation.role_changed")
    async def groups_changed(
        self, session: Session, caller: ScimCaller, resource_ids: Collection[str]
    ) -> None:
        """Give users the roles of their groups: members at once, and the invited when they join.

        An owner stays one. Where no group gives a role, all roles stay. Raises TenantNotActiveError.
        """
        by_group = await self._group_roles.roles_by_group(session, caller.tenant_id)
        if not by_group or not resource_ids:
            return
        users = await self._directory.find(session, caller.tenant_id, resource_ids, self._clock())
        wanted = {
            user: highest_role(by_group, user.groups) or Role.MEMBER for user in users if user.is_active
        }
        for user, role in wanted.items():
            if user.invitation_id is not None and user.invitation_role not in {role, Role.OWNER}:
                await self._invitations.set_role(
                    session, caller.tenant_id, user.invitation_id, role, self._clock(), actor=caller.actor
                )
        await self._members.lock_tenant(session, caller.tenant_id)
        await self._require_active(session, caller)
        pairs = [(caller.tenant_id, user.user_id) for user in wanted if user.user_id is not None]
        access = await self._members.access(session, pairs)
        for user, role in wanted.items():
            found = access.get((caller.tenant_id, user.user_id or ""))
            if found is not None:
                await self._set_role(session, caller, found.user_id, found.role, role)

    async def _start(
        self, session: Session, caller: ScimCaller, user: DirectoryUser, address: EmailAddress | None
    ) -> None:
        if not await self._join(session, caller, user) and address is not None:
            await self._invite(session, caller, user, address)

    async def _join(self, session: Session, caller: ScimCaller, user: DirectoryUser) -> bool:
        """Have the user's account join, if it may at once. False: it is to be invited."""
        if user.user_id is None:
            return False
        tenant_id, now = caller.tenant_id, self._clock()
        if user.invitation_id is not None:
            await self._invitations.lock(session, tenant_id, user.invitation_id)
        account = await self._joins.lock_account(session, user.user_id)
        if account is None:
            return False
        terms = await self._joins.lock_domain(session, tenant_id, account.domain)
        is_member = await self._members.access(session, [(tenant_id, account.user_id)])
        if terms is None and not is_member and not user.was_linked:
            return False
        standing = await self._joins.lock_tenant(session, tenant_id, account, now)
        if standing is None or standing.tenant_status is not TenantStatus.ACTIVE:
            raise tenant_not_active()
        role = await self._role(session, caller, user)
        if user.invitation_id is not None:
            await self._invitations.revoke(session, tenant_id, user.invitation_id, now, actor=caller.actor)
        if standing.role is None:
            require_seat(standing)
            await self._joins.add_member(
                session, tenant_id, account.user_id, role or Role.MEMBER, now, invited_by=caller.actor
            )
        elif role is not None:
            await self._set_role(session, caller, account.user_id, standing.role, role)
        await self._directory.link(
            session, tenant_id, user.resource_id, user_id=account.user_id, invitation_id=None
        )
        return True

    async def _invite(
        self, session: Session, caller: ScimCaller, user: DirectoryUser, address: EmailAddress
    ) -> None:
        """Invite an address, unless somebody has already. Nobody's membership follows from it by itself."""
        invitation_id = user.invitation_id
        if invitation_id is None:
            now = self._clock()
            draft = NewInvitation(
                tenant_id=caller.tenant_id,
                invitation_id=new_id("inv"),
                email=address.given,
                email_key=address.key,
                role=await self._role(session, caller, user) or Role.MEMBER,
                invited_by=caller.actor,
                created_at=now,
                expires_at=now + timedelta(days=DEFAULT_DAYS),
                delivery=MailDelivery.QUEUED if self._options.send_mail else None,
            )
            limits = self._options.invitation_limits
            created = await self._invitations.create(session, draft, None, limits)
            if created is None:
                obstacles = await self._invitations.obstacles(session, draft, limits)
                if obstacles.already_member:
                    return  # with an address that it has not verified, so the account may be anybody's
                await self._require_active(session, caller)
                raise refusal_of(obstacles)
            invitation_id = created.id
        await self._directory.link(
            session,
            caller.tenant_id,
            user.resource_id,
            user_id=user.user_id if user.was_linked else None,
            invitation_id=invitation_id,
        )

    async def _end(self, session: Session, caller: ScimCaller, user: DirectoryUser) -> None:
        user = await self._without_invitation(session, caller, user)
        if user.user_id is None:
            return
        tenant_id = caller.tenant_id
        await self._members.lock_tenant(session, tenant_id)
        await self._require_active(session, caller)
        pair = (tenant_id, user.user_id)
        member = (await self._members.access(session, [pair])).get(pair)
        if member is not None:
            if member.role is Role.OWNER and await self._members.owner_count(session, tenant_id) <= 1:
                raise LastOwnerError(
                    "This user is the last owner of the tenant, which keeps at least one. Make another member"
                    " an owner in the tenant's console, then deactivate or delete this user again."
                )
            await self._members.delete(session, tenant_id, user.user_id, self._clock(), actor=caller.actor)
        await self._directory.link(
            session, tenant_id, user.resource_id, user_id=user.user_id, invitation_id=None
        )

    async def _without_invitation(
        self, session: Session, caller: ScimCaller, user: DirectoryUser
    ) -> DirectoryUser:
        """The user, once a pending invitation is revoked; as a member if it has been accepted meanwhile."""
        if user.invitation_id is None:
            return user
        terms = await self._invitations.lock(session, caller.tenant_id, user.invitation_id)
        if terms is not None and terms.status == InvitationStatus.PENDING:
            await self._invitations.revoke(
                session, caller.tenant_id, user.invitation_id, self._clock(), actor=caller.actor
            )
        return await self._find(session, caller, user.resource_id)

    async def _find(self, session: Session, caller: ScimCaller, resource_id: str) -> DirectoryUser:
        [user] = await self._directory.find(session, caller.tenant_id, [resource_id], self._clock())
        return user

    async def _role(self, session: Session, caller: ScimCaller, user: DirectoryUser) -> Role | None:
        """The role that the user's groups give. None: no group of the tenant gives one."""
        by_group = await self._group_roles.roles_by_group(session, caller.tenant_id)
        return (highest_role(by_group, user.groups) or Role.MEMBER) if by_group else None

    async def _set_role(
        self, session: Session, caller: ScimCaller, user_id: str, current: Role, role: Role
    ) -> None:
        if current not in {Role.OWNER, role}:
            await self._members.set_role(
                session, caller.tenant_id, user_id, role, self._clock(), actor=caller.actor
            )

    async def _require_active(self, session: Session, caller: ScimCaller) -> None:
        if await self._directory.tenant_status(session, caller.tenant_id) is not TenantStatus.ACTIVE:
            raise tenant_not_active()

    def _address(self, emails: Sequence[str]) -> EmailAddress | None:
        for email in emails:
            try:
                return parse_email(email, special_use=self._options.special_use_domains)
            except InvalidInputError:
                continue
        return None
