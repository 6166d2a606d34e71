"""Exporting and erasing people, and erasing tenants: for callers with the scope ``accounts:admin``.

What stays is an id, as a pseudonym: tenants' audit trails, tickets and counts refer to it.
"""

from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import MAX_LIMIT
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.tenant_export import TenantExportStore, read_cursor, written_cursor
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.erasure import (
    ErasedTenant,
    ErasedUser,
    LockedPerson,
    LockedTenant,
    TenantErasedResult,
    TenantExport,
    UserErasedResult,
    UserExport,
)
from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    ConflictError,
    InvalidInputError,
    LastOwnerError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT


class UserErasureStore(Protocol):
    async def lock(self, session: Session, user_id: str) -> LockedPerson | None:
        """Lock the account with exactly this id, in any state, and what it shares with others."""
        ...

    async def erase(self, session: Session, user_id: str, now: datetime, *, actor: str | None) -> None:
        """Erase a locked person. Of one who was erased before, only what has come up since is erased."""
        ...

    async def erased(self, session: Session) -> list[ErasedUser]:
        """Everybody who was erased, in the order of the erasures."""
        ...


class SubjectExportStore(Protocol):
    async def export(self, session: Session, user_id: str, now: datetime) -> UserExport | None:
        """All that is held about the account with exactly this id. None: there is no such account."""
        ...


class TenantErasureStore(Protocol):
    async def lock(self, session: Session, tenant_id: str) -> LockedTenant | None: ...

    async def erase(self, session: Session, tenant_id: str, now: datetime, *, actor: str | None) -> None:
        """Erase a locked tenant. Of one that was erased before, only what has come up since is erased."""
        ...

    async def erased(self, session: Session) -> list[ErasedTenant]:
        """All tenants that were erased, in the order of the erasures."""
        ...


class Erasure:
    def __init__(
        self,
        users: UserErasureStore,
        tenants: TenantErasureStore,
        exports: SubjectExportStore,
        tenant_exports: TenantExportStore,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._users = users
        self._exports = exports
        self._tenant_exports = tenant_exports
        self._tenants = tenants
        self._clock = clock

    @records(
        "member.removed", "tenant.transfer_canceled", "invitation.revoked", "user.deleted", "user.erased"
    )
    async def erase_user(
        self, session: Session, user_id: str, *, actor: str | None = None
    ) -> UserErasedResult:
        """Erase all that is known of a person, in any state of the account. Repeating it erases leftovers.

        The memberships end, the address and the subjects are free at once, and past events lose what is
        personal in them. The id stays and is nobody's any more: whoever signs up with the same subject gets
        another. ``user_id`` is the account's own id, and no subject that is linked to it.

        Raises AccountNotFoundError, or LastOwnerError, which names the tenants.
        """
        held = await self._users.lock(session, user_id) if is_storable_id(user_id) else None
        if held is None:
            raise AccountNotFoundError("There is no account with this id.")
        if held.only_owner_of:
            raise LastOwnerError(
                f"This person is the only owner of {', '.join(held.only_owner_of)}. Give each of these"
                " tenants another owner, or terminate it. Then erase the person."
            )
        now = self._clock()
        await self._users.erase(session, user_id, now, actor=actor)
        return UserErasedResult(user_id, held.erased_at or now)

    @records("member.removed", "tenant.transfer_canceled", "invitation.revoked", "user.erased")
    async def erase_deleted_user(self, session: Session, user_id: str, *, deleted_before: datetime) -> bool:
        """As `erase_user`, if the account was deleted before the time and is not erased. Returns whether."""
        held = await self._users.lock(session, user_id) if is_storable_id(user_id) else None
        if held is None or held.erased_at is not None:
            return False
        if held.deleted_at is None or held.deleted_at >= deleted_before:
            return False
        await self._users.erase(session, user_id, self._clock(), actor=None)
        return True

    async def export_user(self, session: Session, user_id: str) -> UserExport:
        """All that is held about a person, in any state of the account. Raises AccountNotFoundError.

        ``user_id`` is the account's own id, and no subject that is linked to it.
        """
        found = None
        if is_storable_id(user_id):
            found = await self._exports.export(session, user_id, self._clock())
        if found is None:
            raise AccountNotFoundError("There is no account with this id.")
        return found

    async def list_erased_users(self, session: Session) -> list[ErasedUser]:
        """The pseudonyms of all who were erased, with the times: what a restored backup is compared with."""
        return await self._users.erased(session)

    @records("tenant.erased")
    async def erase_tenant(
        self, session: Session, tenant_id: str, *, actor: str | None = None
    ) -> TenantErasedResult:
        """Erase all that a tenant has, which is terminated or archived. Repeating it erases leftovers.

        Its members' accounts stay. Its id stays, and so do its past events without their texts.

        Raises NotFoundError or ConflictError (`tenant_not_ended`).
        """
        held = await self._tenants.lock(session, tenant_id) if is_storable_id(tenant_id) else None
        if held is None:
            raise NotFoundError("There is no such tenant.")
        if held.status not in CLOSED_TENANT:
            raise ConflictError(
                f"This tenant is {held.status}. Only one that has ended is erased: terminate it first.",
                code="tenant_not_ended",
            )
        now = self._clock()
        await self._tenants.erase(session, tenant_id, now, actor=actor)
        return TenantErasedResult(tenant_id, held.erased_at or now)

    async def export_tenant(
        self, session: Session, tenant_id: str, *, limit: int = MAX_LIMIT, cursor: str | None = None
    ) -> Page[TenantExport]:
        """All that is held about a tenant, in any state of it: up to ``limit`` rows after those before.

        The rows come table by table, a table's in the order of its key; the first is the tenant. The pages
        are of one moment if ``session`` is a transaction that sees one. Otherwise a row that changes
        meanwhile is as of its page, and an event that is numbered meanwhile may come twice.

        Raises NotFoundError or InvalidInputError.
        """
        if wrong := why_not_whole(limit, 1, MAX_LIMIT):
            raise InvalidInputError.of_parameter("limit", wrong)
        store = self._tenant_exports
        after = None if cursor is None else read_cursor(cursor, store)
        found = None
        if is_storable_id(tenant_id):
            found = await store.records(session, tenant_id, after, limit)
        if found is None or (after is None and not found.records):
            raise NotFoundError("There is no such tenant.")
        last = None if found.last is None else written_cursor(found.last)
        return Page(TenantExport(tenant_id, found.records), last)

    async def list_erased_tenants(self, session: Session) -> list[ErasedTenant]:
        """The ids of all tenants that were erased, with the times."""
        return await self._tenants.erased(session)
