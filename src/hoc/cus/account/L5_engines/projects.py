"""Projects, which are tenants: reading and creating them, their life cycle, onboarding and quotas."""

from datetime import date, datetime
from typing import Any, Protocol, Unpack, cast

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.merge_patches import MAX_DOCUMENT_BYTES, checked_patch, too_large
from hoc.cus.account.L5_engines.numbers import is_whole, why_not_whole
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
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.port_types import (
    NewTenant,
    Page,
    PatchRefusal,
    Slice,
    TenantPatch,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import (
    ExtendedProjectDetailResult,
    ProjectsListResult,
    ProjectSummaryResult,
)
from hoc.cus.account.L5_schemas.values import (
    QUOTAS,
    UNSET,
    AnyTenantStatus,
    Onboarding,
    QuotaOverrides,
    Role,
    TenantStatus,
    Unset,
)

_RETRY_TOMORROW = 86_400

_COMES_FROM: dict[TenantStatus, list[str]] = {
    TenantStatus.ACTIVE: [TenantStatus.SUSPENDED],
    TenantStatus.SUSPENDED: [TenantStatus.ACTIVE],
    TenantStatus.TERMINATED: [TenantStatus.ACTIVE, TenantStatus.SUSPENDED],
    TenantStatus.ARCHIVED: [TenantStatus.TERMINATED],
}


def next_statuses(status: str) -> list[TenantStatus]:
    """What a tenant of this status can become."""
    return [target for target, origins in _COMES_FROM.items() if status in origins]


class TenantStore(Protocol):
    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: TenantStatus | None
    ) -> Slice[ProjectSummaryResult]: ...

    async def find(
        self, session: Session, tenant_id: str, project_id: str, now: datetime
    ) -> Versioned[ExtendedProjectDetailResult] | None:
        """The project of the tenant, with the quotas in force and what is used of them."""
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

    async def lock(self, session: Session, tenant_id: str) -> None:
        """Lock the tenant, so that neither it nor its memberships change until the transaction ends."""
        ...

    async def update(
        self,
        session: Session,
        tenant_id: str,
        patch: TenantPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None,
        max_metadata_bytes: int,
    ) -> PatchRefusal | None:
        """Apply the patch in one statement, with the slug, which is free again once it was replaced."""
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
    def __init__(
        self,
        tenants: TenantStore,
        access: AccessReader,
        *,
        per_user_per_day: int = 20,
        clock: Clock = utc_now,
    ) -> None:
        self._tenants = tenants
        self._access = access
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
    ) -> Versioned[ExtendedProjectDetailResult] | None:
        """One project with its quotas and usage. None also for another tenant's project."""
        return await self._tenants.find(session, tenant_id, project_id, self._clock())

    @records("tenant.created", "member.joined")
    async def create(
        self,
        session: Session,
        caller_user_id: str,
        *,
        name: str,
        slug: str | None = None,
        description: str | None = None,
    ) -> Versioned[ExtendedProjectDetailResult]:
        """Create a tenant on the free plan, owned by the caller. Its slug is made from the name unless given.

        Raises InvalidInputError, ForbiddenError (no active account), LimitExceededError (too many created
        today) or ConflictError (the slug is taken).
        """
        now = self._clock()
        title = clean_line("name", name)
        text = None if description is None else _clean_description(description)
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
        raise _slug_taken()

    @records("tenant.updated")
    async def update(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        project_id: str,
        *,
        name: str | None = None,
        slug: str | None = None,
        description: str | Unset | None = UNSET,
        metadata: dict[str, Any] | None = None,
        invitations_only_to_domains: bool | None = None,
        expected_version: int | None = None,
    ) -> Versioned[ExtendedProjectDetailResult]:
        """Set the fields that are given, as an owner or an admin; None removes the description.

        Metadata is merged (RFC 7396: null deletes a key). A slug that is replaced is free for other tenants.
        Only an owner says whether addresses outside the verified domains can be invited.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError, NotFoundError (also
        for another tenant's project), StaleVersionError or ConflictError (the slug is taken).
        """
        _check_version(expected_version)
        patch = TenantPatch(
            name=None if name is None else clean_line("name", name),
            slug=None if slug is None else checked_slug(slug),
            description=_patched_description(description),
            metadata=checked_patch("metadata", {} if metadata is None else metadata),
            invitations_only_to_domains=invitations_only_to_domains,
        )
        await self._tenants.lock(session, tenant_id)
        caller = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(caller.role.can_manage_tenant, "change the project")
        if invitations_only_to_domains is not None:
            require(caller.role is Role.OWNER, "say whom the tenant invites")
        if project_id != tenant_id:
            raise NotFoundError("There is no such project.")
        refusal = await self._tenants.update(
            session,
            tenant_id,
            patch,
            self._clock(),
            actor=caller_user_id,
            expected_version=expected_version,
            max_metadata_bytes=MAX_DOCUMENT_BYTES,
        )
        if refusal is not None:
            raise _refused(refusal)
        return await self._require(session, tenant_id)

    @records("tenant.status_changed")
    async def change_status(
        self,
        session: Session,
        tenant_id: str,
        status: AnyTenantStatus,
        *,
        actor: str | None = None,
        expected_version: int | None = None,
    ) -> ExtendedProjectDetailResult:
        """Change the status, as `TenantStatus` allows; the same status changes nothing. For operators.

        Raises InvalidInputError, NotFoundError, StaleVersionError or ConflictError (not from the present
        status).
        """
        _check_version(expected_version)
        target = choice("status", status, TenantStatus)
        if expected_version is not None:
            await self._tenants.lock(session, tenant_id)
            if (await self._require(session, tenant_id)).version != expected_version:
                raise _refused(PatchRefusal.STALE)
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
    ) -> ExtendedProjectDetailResult:
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
    ) -> ExtendedProjectDetailResult:
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

    async def _require(self, session: Session, tenant_id: str) -> Versioned[ExtendedProjectDetailResult]:
        found = await self.get(session, tenant_id, tenant_id)
        if found is None:
            raise NotFoundError("There is no such tenant.")
        return found


def _check_version(expected: int | None) -> None:
    if expected is not None and not is_whole(expected):
        raise InvalidInputError.of("expected_version", "must be a whole number, an int")


def _patched_description(description: str | Unset | None) -> str | None:
    """As a patch has it: empty clears the description, None leaves it alone."""
    if description is UNSET:
        return None
    return "" if description is None else _clean_description(description)


def _clean_description(description: str) -> str:
    return clean_text("description", description, max_length=2_000)


def _refused(refusal: PatchRefusal) -> StaleVersionError | InvalidInputError | ConflictError:
    """The error for a patch that was not applied."""
    match refusal:
        case PatchRefusal.STALE:
            return StaleVersionError("The project has changed since you read it. Read it again.")
        case PatchRefusal.TOO_LARGE:
            return too_large("metadata")
        case PatchRefusal.TAKEN:
            return _slug_taken()


def _slug_taken() -> ConflictError:
    return ConflictError("This slug is taken. Choose another.", code="slug_taken")
