"""A tenant's directory as the storage of scim2-server."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from scim2_models import (
    Group,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import AsyncScimStorage, SearchPage

from hoc.cus.account.L5_engines.provisioning import Provisioning
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.cus.account.L6_drivers.execution import AnyRow, fetch_all
from hoc.cus.account.L6_drivers.scim_resources import Key, Kind, SqlScimResources
from hoc.scim.columns import GROUPS, USERS
from hoc.scim.pages import cursor_page, index_page, shows_related
from hoc.scim.rows import addresses_of, document_of, members_of, resource_of, values_of, version_of
from hoc.scim.searching import Search
from hoc.scim.sorting import Position
from hoc.scim.user import User

_COLUMNS = {"User": USERS, "Group": GROUPS}
_PREFIX = {"User": "scu", "Group": "scg"}

Opens = Callable[[], AbstractAsyncContextManager[Session]]
"""Opens a session, and commits at the end if it is a transaction."""


class TenantStorage(AsyncScimStorage):
    """The resources of one tenant. Each operation, also one of a bulk request, is a transaction of its own.

    Args:
        opens: what an operation runs in.
        writes: whether operations may write: then no one else writes the tenant's directory meanwhile.
    """

    supports_cursors = True

    def __init__(
        self,
        caller: ScimCaller,
        opens: Opens,
        provisioning: Provisioning,
        *,
        writes: bool = True,
        clock: Clock = utc_now,
    ) -> None:
        self._caller = caller
        self._tenant_id = caller.tenant_id
        self._provisioning = provisioning
        self._opens = opens
        self._writes = writes
        self._clock = clock
        self._rows = SqlScimResources()
        self._current: Session | None = None

    @asynccontextmanager
    async def operation(self) -> AsyncGenerator[None]:
        async with self._opens() as session:
            if self._writes:
                await self._provisioning.begin(session, self._caller)
            self._current = session
            try:
                yield
            finally:
                self._current = None

    async def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        key = self._key(resource_type, resource_id)
        wanted = shows_related(key.kind, response_parameters)
        async with self._session() as session:
            row = await self._find(session, key, related=wanted)
        return resource_of(document_of(key.kind, row, row.related if wanted else None))

    async def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,  # noqa: ANN401 - as of the library
    ) -> SearchPage:
        at = None if position is None else Position.of(position)
        by_cursor = search_request.cursor is not None
        count = search_request.count
        kinds: list[Kind] = [_kind(each) for each in resource_types]
        search = Search(
            search_request,
            [_COLUMNS[kind] for kind in kinds],
            at,
            limit=None if count is None else count + (1 if by_cursor else 0),
            offset=search_request.start_index_0 or 0,
            with_related=frozenset(kind for kind in kinds if shows_related(kind, search_request)),
        )
        statement, values = search.statement()
        async with self._session() as session:
            found = await fetch_all(session, statement, tenant_id=self._tenant_id, **values)
        total: int = found[0].list_total
        rows = [row for row in found if row.resource_id is not None]
        return cursor_page(rows, total, count, at) if by_cursor else index_page(rows, total)

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        given = _with_defaults(resource)
        values = values_of(given)
        key = self._key(resource_type, new_id(_PREFIX[_kind(resource_type)]))
        async with self._session() as session:
            if not await self._rows.insert(session, key, values, self._clock()):
                raise _name_taken()
            await self._follow(session, key, given, before=None)
            return await self._whole(session, key)

    async def update(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None = None,
    ) -> Resource[Any]:
        values = values_of(resource)
        key = self._key(resource_type, resource.id or "")
        async with self._session() as session:
            before = await self._find(session, key, related=False)
            _require_version(before, expected_version)
            if not await self._rows.update(session, key, values, self._clock()):
                raise _name_taken()
            await self._follow(session, key, resource, before=before)
            return await self._whole(session, key)

    async def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        key = self._key(resource_type, resource_id)
        async with self._session() as session:
            _require_version(await self._find(session, key, related=False), expected_version)
            members: list[str] = []
            if key.kind == "User":
                await self._provisioning.user_removed(session, self._caller, key.resource_id)
            else:
                members = await self._rows.set_members(session, key, [])
            await self._rows.delete(session, key, self._clock())
            await self._provisioning.groups_changed(session, self._caller, members)

    async def _follow(
        self, session: Session, key: Key, given: Resource[Any], *, before: AnyRow | None
    ) -> None:
        """Have everything follow from a resource that was written."""
        if isinstance(given, Group):
            changed = await self._rows.set_members(session, key, members_of(given))
            if before is not None and before.resource.get("displayName") != given.display_name:
                changed = [member.id for member in members_of(given)] + changed
            await self._provisioning.groups_changed(session, self._caller, set(changed))
        if isinstance(given, User):
            await self._provisioning.user_written(
                session,
                self._caller,
                key.resource_id,
                addresses_of(given),
                was_active=before is not None and before.resource.get("active") is not False,
            )

    async def _whole(self, session: Session, key: Key) -> Resource[Any]:
        row = await self._find(session, key, related=True)
        return resource_of(document_of(key.kind, row, row.related))

    async def _find(self, session: Session, key: Key, *, related: bool) -> AnyRow:
        row = None
        if is_storable_id(key.resource_id):
            row = await self._rows.find(session, key, related=related)
        if row is None:
            raise NotFoundException(detail=f"There is no {key.kind} with this id in this directory.")
        return row

    def _key(self, resource_type: ResourceType, resource_id: str) -> Key:
        return Key(_kind(resource_type), self._tenant_id, resource_id)

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[Session]:
        """The session of the operation, or one of its own for a call outside of one."""
        if self._current is not None:
            yield self._current
            return
        async with self.operation():
            yield self._current


def _kind(resource_type: ResourceType) -> Kind:
    return "User" if resource_type.name == "User" else "Group"


def _with_defaults(resource: Resource[Any]) -> Resource[Any]:
    """A copy. A new user of whom nothing else is said is active."""
    copy = resource.model_copy(deep=True)
    if isinstance(copy, User) and copy.active is None:
        copy.active = True
    return copy


def _require_version(row: AnyRow, expected: str | None) -> None:
    if expected is not None and expected != version_of(row):
        raise PreconditionFailedException


def _name_taken() -> UniquenessException:
    return UniquenessException(detail="Another user of this directory has this userName.")
