"""Projects, which are tenants: reading and creating them, their life cycle, onboarding and quotas."""

from datetime import date, datetime
from typing import Protocol, Unpack, cast

from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.slugs import checked_slug, slug_candidates
from hoc.cus.account.L5_engines.text import choice, choice_filter, clean_line, clean_text
from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.port_types import NewTenant, Page, Slice, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    ProjectDetailResult,
    ProjectsListResult,
    ProjectSummaryResult,
)
from hoc.cus.account.L5_schemas.values import (
    QUOTAS,
    AnyTenantStatus,
    Onboarding,
    QuotaOverrides,
    TenantStatus,
)

_RETRY_TOMORROW = 86_400

_COMES_FROM: dict[TenantStatus, list[str]] = {
    TenantStatus.ACTIVE: [TenantStatus.SUSPENDED],
    TenantStatus.SUSPENDED: [TenantStatus.ACTIVE],
    TenantStatus.TERMINATED: [TenantStatus.ACTIVE, TenantStatus.SUSPENDED],
    TenantStatus.ARCHIVED: [TenantStatus.TERMINATED],
}


class TenantStore(Protocol):
    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: TenantStatus | None
    ) -> Slice[ProjectSummaryResult]: ...

    async def find(
        self, session: Session, tenant_id: str, project_id: str, day: date
    ) -> Versioned[ProjectDetailResult] | None:
        """The project of the tenant, with the quotas in force and its usage on ``day``."""
        ...

    async def is_active_account(self, session: Session, user_id: str) -> bool: ...

    async def create(
        self, session: Session, tenant: NewTenant, owner_user_id: str, *, per_user_per_day: int
    ) -> bool:
        """Store the tenant with its owner, and count it for the owner's day, in one statement.

        False: the slug is taken, the owner is no active account, or the day's limit is reached.
        """
        ...

    async def created_on(self, session: Session, user_id: str, day: date) -> int:
        """How many tenants the user created on that UTC day."""
        ...

    async def set_status(
        self,
        session: Session,
        tenant_id: str,
        status: TenantStatus,
        come_from: list[str],
        now: datetime,
        *,
        actor: str | None,
    ) -> bool:
        """Give the tenant this status. False: its status is not one of ``come_from``."""
        ...

    async def advance_onboarding(
        self, session: Session, tenant_id: str, state: Onboarding, now: datetime, *, actor: str | None
    ) -> None:
        """Nothing changes when the tenant is at this state, or further."""
        ...

    async def set_quotas(
        self,
        session: Session,
        tenant_id: str,
        quotas: dict[str, int | None],
        now: datetime,
        *,
        actor: str | None,
    ) -> None: ...


class Projects:
    def __init__(self, tenants: TenantStore, *, per_user_per_day: int = 20, clock: Clock = utc_now) -> None:
        self._tenants = tenants
        self._per_user_per_day = per_user_per_day
        self._clock = clock

    async def list(
        self,
        session: Session,
        tenant_id: str,
        *,
        status: AnyTenantStatus | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[ProjectsListResult]:
        """The tenant's projects: one, as yet. Raises InvalidInputError."""
        status_filter = choice_filter("status", status, TenantStatus)
        scope = CursorScope("projects", tenant_id, status=status)
        window = scope.window(**page)
        rows = await self._tenants.page(session, tenant_id, window, status=status_filter)
        applied = {"tenant_id": tenant_id} | ({} if status is None else {"status": status})
        result = ProjectsListResult(rows.rows, rows.total, rows.has_more, applied)
        return Page(result, scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str, project_id: str
    ) -> Versioned[ProjectDetailResult] | None:
        """One project with its quotas and usage. None also for another tenant's project."""
        return await self._tenants.find(session, tenant_id, project_id, self._clock().date())

    @records("tenant.created", "member.joined")
    async def create(
        self,
        session: Session,
        caller_user_id: str,
        *,
        name: str,
        slug: str | None = None,
        description: str | None = None,
    ) -> Versioned[ProjectDetailResult]:
        """Create a tenant on the free plan, owned by the caller. Its slug is made from the name unless given.

        Raises InvalidInputError, ForbiddenError (no active account), LimitExceededError (too many created
        today) or ConflictError (the slug is taken).
        """
        now = self._clock()
        title = clean_line("name", name)
        text = None if description is None else clean_text("description", description, max_length=2_000)
        for candidate in slug_candidates(title) if slug is None else [checked_slug(slug)]:
            tenant = NewTenant(new_id("ten"), title, candidate, text, now)
            if await self._tenants.create(
                session, tenant, caller_user_id, per_user_per_day=self._per_user_per_day
            ):
                return await self._require(session, tenant.tenant_id)
            if not await self._tenants.is_active_account(session, caller_user_id):
                raise ForbiddenError("Only an active account can own a project.", code="no_account")
            created = await self._tenants.created_on(session, caller_user_id, now.date())
            if created >= self._per_user_per_day:
                raise LimitExceededError(
                    f"You have created {created} projects today, which is the limit. Try again tomorrow.",
                    retry_after=_RETRY_TOMORROW,
                )
        raise ConflictError("This slug is taken. Choose another.", code="slug_taken")

    @records("tenant.status_changed")
    async def change_status(
        self, session: Session, tenant_id: str, status: AnyTenantStatus, *, actor: str | None = None
    ) -> ProjectDetailResult:
        """Change the status, as `TenantStatus` allows; the same status changes nothing. For operators.

        Raises InvalidInputError, NotFoundError or ConflictError (not from the present status).
        """
        target = choice("status", status, TenantStatus)
        moved = await self._tenants.set_status(
            session, tenant_id, target, _COMES_FROM[target], self._clock(), actor=actor
        )
        project = (await self._require(session, tenant_id)).value
        if not moved and project.status != target:
            raise ConflictError(f"A tenant that is {project.status} cannot become {target}.")
        return project

    @records("tenant.onboarding_advanced")
    async def advance_onboarding(
        self, session: Session, tenant_id: str, state: int, *, actor: str | None = None
    ) -> ProjectDetailResult:
        """Advance to an `Onboarding` state; one that was reached before changes nothing.

        Raises InvalidInputError or NotFoundError.
        """
        if wrong := why_not_whole(state, min(Onboarding), max(Onboarding)):
            raise InvalidInputError.of("state", wrong)
        target = Onboarding(state)
        await self._tenants.advance_onboarding(session, tenant_id, target, self._clock(), actor=actor)
        return (await self._require(session, tenant_id)).value

    @records("tenant.quotas_changed")
    async def override_quotas(
        self, session: Session, tenant_id: str, *, actor: str | None = None, **quotas: Unpack[QuotaOverrides]
    ) -> ProjectDetailResult:
        """Replace some of the plan's quotas for one tenant; None restores the plan's.

        Raises InvalidInputError or NotFoundError.
        """
        given = cast("dict[str, int | None]", quotas)
        for name, value in given.items():
            if name not in QUOTAS:
                raise InvalidInputError.of(name, f"is not a quota; the quotas are {', '.join(QUOTAS)}")
            if value is not None and (wrong := why_not_whole(value, 0, 2**31 - 1)):
                raise InvalidInputError.of(name, wrong)
        await self._tenants.set_quotas(session, tenant_id, given, self._clock(), actor=actor)
        return (await self._require(session, tenant_id)).value

    async def _require(self, session: Session, tenant_id: str) -> Versioned[ProjectDetailResult]:
        found = await self.get(session, tenant_id, tenant_id)
        if found is None:
            raise NotFoundError("There is no such tenant.")
        return found
