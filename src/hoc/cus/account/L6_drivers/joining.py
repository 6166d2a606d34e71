"""Joining by a verified domain. The account is locked first, then the domain, then the tenant."""

from datetime import datetime

from sqlalchemy import String, exists, func, literal, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.domains import (
    JoinableTenantResult,
    JoiningAccount,
    JoiningTerms,
    JoinRequestResult,
    JoinStanding,
)
from hoc.cus.account.L5_schemas.events import (
    JoinRefusedEventData,
    JoinRequestedEventData,
    MemberJoinedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, Window
from hoc.cus.account.L5_schemas.values import DomainJoining, JoinRequestStatus, Role, TenantStatus
from hoc.cus.account.L6_drivers.domains import DOMAIN, IS_VERIFIED, THIS_DOMAIN
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import (
    ACCOUNT,
    LOCK_TENANT,
    NOW,
    REQUEST_ENDED,
    TENANT,
    USER,
    quota,
)
from hoc.cus.account.L6_drivers.invitation_sending import EMAIL_KEY, IS_PENDING
from hoc.cus.account.L6_drivers.member_texts import NEW_MEMBER
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.received_invitations import VERIFIED_ADDRESS
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.seats import AS_OF, seats
from hoc.cus.account.L6_drivers.tables import (
    invitations,
    join_requests,
    member_counts,
    memberships,
    tenant_domains,
    tenants,
    users,
)

STATUS = param("status", String)
ROLE = param("role", String)
INVITED_BY = param("invited_by", String)
OWN_REQUEST = (join_requests.c.tenant_id == TENANT) & (join_requests.c.user_id == USER)

LOCK_ACCOUNT = (
    select(users.c.user_id, users.c.email_key)
    .where(
        users.c.user_id == ACCOUNT,
        users.c.is_active,
        users.c.email_verified,
        users.c.email_key.is_not(None),
    )
    .with_for_update(read=True)
)
LOCK_DOMAIN = (
    select(tenant_domains.c.joining, tenant_domains.c.join_role)
    .where(THIS_DOMAIN, IS_VERIFIED)
    .with_for_update(read=True)
)

# Read after the tenant is locked. An invitation that has expired and keeps its seat counts as pending.
STANDING = select(
    tenants.c.status,
    quota("max_members"),
    seats(TENANT, invitations.c.email_key != EMAIL_KEY).label("seats"),
    select(memberships.c.role)
    .where(memberships.c.tenant_id == TENANT, memberships.c.user_id == USER)
    .scalar_subquery()
    .label("role"),
    exists()
    .where(
        invitations.c.tenant_id == TENANT,
        invitations.c.email_key == EMAIL_KEY,
        IS_PENDING,
        invitations.c.expires_at > AS_OF,
    )
    .label("is_invited"),
    select(join_requests.c.status).where(OWN_REQUEST).scalar_subquery().label("request"),
).where(tenants.c.tenant_id == TENANT)


def _add_member() -> AnySelect:
    joined = (
        insert(memberships)
        .from_select(
            ["tenant_id", "user_id", "searched", "role", "invited_by", "joined_at", "updated_at"],
            select(TENANT, *NEW_MEMBER.c, ROLE, INVITED_BY, NOW, NOW),
        )
        .returning(
            memberships.c.tenant_id, memberships.c.user_id, memberships.c.role, memberships.c.invited_by
        )
        .cte("joined")
    )
    counted = (
        update(member_counts)
        .where(member_counts.c.tenant_id == TENANT, member_counts.c.role == joined.c.role)
        .values(members=member_counts.c.members + 1)
        .cte("counted")
    )
    member_joined = recorded(
        MemberJoinedEventData, joined, actor=func.coalesce(joined.c.invited_by, joined.c.user_id)
    )
    return select(joined.c.role).add_cte(counted, REQUEST_ENDED, member_joined)


ADD_MEMBER = _add_member()


def _ask() -> AnySelect:
    given = {"status": literal(JoinRequestStatus.PENDING.value), "requested_at": NOW}
    asked = (
        insert(join_requests)
        .values(tenant_id=TENANT, user_id=USER, **given)
        .on_conflict_do_update(
            index_elements=[join_requests.c.tenant_id, join_requests.c.user_id], set_=given
        )
        .returning(join_requests.c.tenant_id, join_requests.c.user_id)
        .cte("asked")
    )
    requested = recorded(JoinRequestedEventData, asked, actor=USER, domain=DOMAIN)
    return select(asked.c.user_id).add_cte(requested)


ASK = _ask()


def _refuse() -> AnySelect:
    refused = (
        update(join_requests)
        .where(OWN_REQUEST, join_requests.c.status == JoinRequestStatus.PENDING)
        .values(status=JoinRequestStatus.REFUSED)
        .returning(join_requests.c.tenant_id, join_requests.c.user_id)
        .cte("refused")
    )
    return select(refused.c.user_id).add_cte(recorded(JoinRefusedEventData, refused))


REFUSE = _refuse()

_LISTED = (join_requests.c.tenant_id == TENANT, join_requests.c.status == STATUS, users.c.is_active)
REQUESTS = Paged(
    select(
        join_requests.c.user_id,
        users.c.email,
        users.c.name,
        join_requests.c.status,
        join_requests.c.requested_at,
    )
    .select_from(join_requests.join(users))
    .where(*_LISTED),
    at=join_requests.c.requested_at,
    row_id=join_requests.c.user_id,
    total=select(func.count()).select_from(join_requests.join(users)).where(*_LISTED).scalar_subquery(),
)

_IS_MEMBER = (
    exists()
    .where(memberships.c.tenant_id == tenants.c.tenant_id, memberships.c.user_id == ACCOUNT)
    .correlate(tenants)
)
_JOINABLE = (
    tenant_domains.c.domain == func.split_part(VERIFIED_ADDRESS, "@", literal_column("-1")),
    IS_VERIFIED,
    tenant_domains.c.joining != literal_column(f"'{DomainJoining.CLOSED}'"),
    tenants.c.status == TenantStatus.ACTIVE,
    ~_IS_MEMBER,
)
_DOMAINS_OF_TENANTS = tenant_domains.join(tenants, tenants.c.tenant_id == tenant_domains.c.tenant_id)
# It crosses tenants, as the list of a user's memberships does.
JOINABLE = Paged(
    select(
        tenant_domains.c.tenant_id,
        tenants.c.name.label("tenant_name"),
        tenant_domains.c.domain,
        tenant_domains.c.joining,
        tenant_domains.c.join_role.label("role"),
        select(join_requests.c.status)
        .where(join_requests.c.tenant_id == tenants.c.tenant_id, join_requests.c.user_id == ACCOUNT)
        .scalar_subquery()
        .label("request"),
    )
    .select_from(_DOMAINS_OF_TENANTS)
    .where(*_JOINABLE),
    at=tenant_domains.c.created_at,
    row_id=tenant_domains.c.tenant_id,
    total=select(func.count()).select_from(_DOMAINS_OF_TENANTS).where(*_JOINABLE).scalar_subquery(),
)

_request = record_of(JoinRequestResult, REQUESTS)
_joinable = record_of(JoinableTenantResult, JOINABLE)


class SqlJoining:
    async def lock_account(self, session: SqlSession, user_id: str) -> JoiningAccount | None:
        row = await fetch_one(session, LOCK_ACCOUNT, user_id=user_id)
        return None if row is None else JoiningAccount(row.user_id, row.email_key)

    async def lock_domain(self, session: SqlSession, tenant_id: str, domain: str) -> JoiningTerms | None:
        row = await fetch_one(session, LOCK_DOMAIN, tenant_id=tenant_id, domain=domain)
        return None if row is None else JoiningTerms(DomainJoining(row.joining), Role(row.join_role))

    async def lock_tenant(
        self, session: SqlSession, tenant_id: str, account: JoiningAccount, now: datetime
    ) -> JoinStanding | None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)
        row = await fetch_one(
            session,
            STANDING,
            tenant_id=tenant_id,
            user_id=account.user_id,
            email_key=account.email_key,
            now=now,
        )
        if row is None:
            return None
        return JoinStanding(
            TenantStatus(row.status),
            row.max_members,
            row.seats,
            None if row.role is None else Role(row.role),
            row.is_invited,
            row.request,
        )

    async def add_member(
        self,
        session: SqlSession,
        tenant_id: str,
        user_id: str,
        role: Role,
        now: datetime,
        *,
        invited_by: str | None,
    ) -> None:
        await fetch_one(
            session,
            ADD_MEMBER,
            tenant_id=tenant_id,
            user_id=user_id,
            role=role,
            now=now,
            invited_by=invited_by,
        )

    async def ask(
        self, session: SqlSession, tenant_id: str, user_id: str, domain: str, now: datetime
    ) -> None:
        await fetch_one(session, ASK, tenant_id=tenant_id, user_id=user_id, domain=domain, now=now)

    async def refuse(
        self, session: SqlSession, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> bool:
        row = await fetch_one(session, REFUSE, tenant_id=tenant_id, user_id=user_id, now=now, actor=actor)
        return row is not None

    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, *, status: JoinRequestStatus
    ) -> Slice[JoinRequestResult]:
        return await REQUESTS.fetch(session, window, _request, tenant_id=tenant_id, status=status)

    async def joinable(
        self, session: SqlSession, user_id: str, window: Window
    ) -> Slice[JoinableTenantResult]:
        return await JOINABLE.fetch(session, window, _joinable, user_id=user_id)
