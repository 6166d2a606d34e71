"""Projects, which are tenants: reading, creating, moving through life and onboarding."""

import re
import secrets
from datetime import date
from typing import Protocol

from hoc.cus.account.L5_engines.paging import CursorScope
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter, clean_line, clean_text
from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.records import NewTenant, Page, Slice, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    ProjectDetailResult,
    ProjectsListResult,
    ProjectSummaryResult,
)
from hoc.cus.account.L5_schemas.values import Onboarding, TenantStatus

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_COMES_FROM: dict[TenantStatus, list[str]] = {
    TenantStatus.ACTIVE: [TenantStatus.SUSPENDED],
    TenantStatus.SUSPENDED: [TenantStatus.ACTIVE],
    TenantStatus.TERMINATED: [TenantStatus.ACTIVE, TenantStatus.SUSPENDED],
    TenantStatus.ARCHIVED: [TenantStatus.TERMINATED],
}

QUOTAS = ("max_workers", "max_runs_per_day", "max_concurrent_runs", "max_tokens_per_month", "max_api_keys")


class TenantStore(Protocol):
    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: TenantStatus | None
    ) -> Slice[ProjectSummaryResult]: ...

    async def find(
        self, session: Session, tenant_id: str, project_id: str, day: date
    ) -> Versioned[ProjectDetailResult] | None:
        """The project within the tenant; quotas are resolved, and usage as of ``day``."""
        ...

    async def is_active_account(self, session: Session, user_id: str) -> bool: ...

    async def create(self, session: Session, tenant: NewTenant, owner_user_id: str) -> bool:
        """Tenant, slug, owner and counts at once; False: the slug is taken or there is no such owner."""
        ...

    async def set_status(
        self,
        session: Session,
        tenant_id: str,
        status: TenantStatus,
        come_from: list[str],
        *,
        actor: str | None,
    ) -> bool: ...

    async def advance_onboarding(
        self, session: Session, tenant_id: str, state: Onboarding, *, actor: str | None
    ) -> bool: ...

    async def set_quotas(
        self, session: Session, tenant_id: str, quotas: dict[str, int | None], *, actor: str | None
    ) -> bool: ...


class Projects:
    def __init__(self, tenants: TenantStore, *, clock: Clock = utc_now) -> None:
        self._tenants = tenants
        self._clock = clock

    async def list(
        self,
        session: Session,
        tenant_id: str,
        *,
        status: str | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[ProjectsListResult]:
        """The tenant's projects: one today."""
        status_filter = choice_filter("status", status, TenantStatus)
        scope = CursorScope("projects", tenant_id, status=status)
        window = scope.window(limit, offset, cursor)
        rows = await self._tenants.page(session, tenant_id, window, status=status_filter)
        applied = {"tenant_id": tenant_id} | ({} if status is None else {"status": status})
        result = ProjectsListResult(rows.rows, rows.total, rows.has_more, applied)
        return Page(result, scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str, project_id: str
    ) -> Versioned[ProjectDetailResult] | None:
        """None also for another tenant's project."""
        return await self._tenants.find(session, tenant_id, project_id, self._clock().date())

    async def create(
        self,
        session: Session,
        caller_user_id: str,
        *,
        name: str,
        slug: str | None = None,
        description: str | None = None,
    ) -> Versioned[ProjectDetailResult]:
        """A new tenant on the free plan, owned by the caller; its slug is made from the name unless given."""
        title = clean_line("name", name)
        text = None if description is None else clean_text("description", description, max_length=2_000)
        if slug is not None and not _SLUG.fullmatch(slug):
            raise InvalidInputError.of("slug", "must be 1 to 63 of a-z, 0-9 and inner hyphens")
        for candidate in [slug] if slug else _slug_candidates(title):
            tenant = NewTenant(new_id("ten"), title, candidate, text, self._clock())
            if await self._tenants.create(session, tenant, caller_user_id):
                return await self._require(session, tenant.tenant_id)
            if not await self._tenants.is_active_account(session, caller_user_id):
                raise ForbiddenError("Only an active account can own a project.", code="no_account")
        raise ConflictError("This slug is taken; choose another.", code="slug_taken")

    async def change_status(
        self, session: Session, tenant_id: str, status: str, *, actor: str | None = None
    ) -> ProjectDetailResult:
        """Move through the life cycle: active ⇄ suspended → terminated → archived. An operator's call."""
        target = choice("status", status, TenantStatus)
        moved = await self._tenants.set_status(session, tenant_id, target, _COMES_FROM[target], actor=actor)
        project = (await self._require(session, tenant_id)).value
        if not moved and project.status != target:
            raise ConflictError(f"A tenant that is {project.status} cannot become {target}.")
        return project

    async def advance_onboarding(
        self, session: Session, tenant_id: str, state: int, *, actor: str | None = None
    ) -> ProjectDetailResult:
        """Record progress; a state already passed changes nothing."""
        try:
            target = Onboarding(state)
        except ValueError:
            raise InvalidInputError.of("state", "must be 0 to 4") from None
        await self._tenants.advance_onboarding(session, tenant_id, target, actor=actor)
        return (await self._require(session, tenant_id)).value

    async def override_quotas(
        self, session: Session, tenant_id: str, *, actor: str | None = None, **quotas: int | None
    ) -> ProjectDetailResult:
        """Replace some of the plan's quotas for one tenant; None gives the plan's back."""
        for name, value in quotas.items():
            if name not in QUOTAS:
                raise InvalidInputError.of(name, f"is not a quota; quotas are {', '.join(QUOTAS)}")
            if value is not None and not 0 <= value < 2**31:
                raise InvalidInputError.of(name, "must be 0 to 2147483647")
        await self._tenants.set_quotas(session, tenant_id, quotas, actor=actor)
        return (await self._require(session, tenant_id)).value

    async def _require(self, session: Session, tenant_id: str) -> Versioned[ProjectDetailResult]:
        found = await self.get(session, tenant_id, tenant_id)
        if found is None:
            raise NotFoundError("There is no such tenant.")
        return found


def _slug_candidates(name: str) -> list[str]:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-") or "project"
    return [base, f"{base}-{secrets.token_hex(3)}", f"{base}-{secrets.token_hex(6)}"]
