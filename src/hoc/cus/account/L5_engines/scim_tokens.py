"""The tokens with which a tenant's SCIM client signs in: made, listed and revoked by its owners.

A token is ``hoc_scim_``, the tenant's id, a dot, and 256 random bits. It names its tenant so that it is found
by the tenant's own index. Only its SHA-256 is stored, so the time of a lookup says nothing about a token.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Final, Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, new_secret, utc_now
from hoc.cus.account.L5_engines.text import clean_line, is_storable_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Slice, Window
from hoc.cus.account.L5_schemas.scim import (
    NewScimTokenResult,
    ScimCaller,
    ScimTokenResult,
    ScimTokensListResult,
)
from hoc.cus.account.L5_schemas.values import Role

MAX_TOKENS: Final = 20
"""Of a tenant that are active at the same time."""
DEFAULT_DAYS: Final = 365
MAX_DAYS: Final = 365
BETWEEN_USES: Final = timedelta(minutes=1)
_TOKEN: Final = re.compile(r"hoc_scim_(?P<tenant_id>[^.]{1,255})\.[A-Za-z0-9_-]{43}", re.ASCII)


class ScimTokenStore(Protocol):
    async def lock_tenant(self, session: Session, tenant_id: str) -> None: ...

    async def count_active(self, session: Session, tenant_id: str, now: datetime) -> int: ...

    async def add(
        self,
        session: Session,
        tenant_id: str,
        token: NewScimTokenResult,
        token_hash: bytes,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        """Store the token without its text."""
        ...

    async def page(
        self, session: Session, tenant_id: str, window: Window, now: datetime
    ) -> Slice[ScimTokenResult]:
        """The tenant's tokens, the newest first."""
        ...

    async def find(
        self, session: Session, tenant_id: str, token_id: str, now: datetime
    ) -> ScimTokenResult | None: ...

    async def lock(self, session: Session, tenant_id: str, token_id: str) -> None: ...

    async def revoke(
        self, session: Session, tenant_id: str, token_id: str, now: datetime, *, actor: str
    ) -> None:
        """Revoke a token, unless it is revoked already."""
        ...

    async def authenticate(
        self, session: Session, tenant_id: str, token_hash: bytes, now: datetime, *, used_before: datetime
    ) -> ScimCaller | None:
        """Whose active token has this SHA-256, if the tenant is active. One statement.

        The use is due to be recorded if none was since ``used_before``.
        """
        ...

    async def record_use(
        self, session: Session, caller: ScimCaller, now: datetime, *, used_before: datetime
    ) -> None: ...


class ScimTokens:
    def __init__(self, tokens: ScimTokenStore, access: AccessReader, *, clock: Clock = utc_now) -> None:
        self._tokens = tokens
        self._access = access
        self._clock = clock

    @records("scim.token_created")
    async def create(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        name: str,
        expires_in_days: int = DEFAULT_DAYS,
    ) -> NewScimTokenResult:
        """Make a token, as an owner. The result has its text, which nothing else has.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError or LimitExceededError
        (the tenant has 20 active tokens).
        """
        line = clean_line("name", name, max_length=100)
        if wrong := why_not_whole(expires_in_days, 1, MAX_DAYS):
            raise InvalidInputError.of("expires_in_days", wrong)
        await self._tokens.lock_tenant(session, tenant_id)
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "make SCIM tokens")
        now = self._clock()
        if await self._tokens.count_active(session, tenant_id, now) >= MAX_TOKENS:
            raise LimitExceededError(
                f"This tenant has {MAX_TOKENS} active SCIM tokens, which is the limit. Revoke one.",
                code="quota_exceeded",
            )
        created = NewScimTokenResult(
            new_id("sct"),
            line,
            f"hoc_scim_{tenant_id}.{new_secret()}",
            now + timedelta(days=expires_in_days),
        )
        await self._tokens.add(session, tenant_id, created, _hash(created.token), now, actor=caller_user_id)
        return created

    async def list(
        self, session: Session, tenant_id: str, caller_user_id: str, **page: Unpack[PageArguments]
    ) -> Page[ScimTokensListResult]:
        """The tenant's tokens, the newest first, for owners. Revoked and expired ones stay in the list.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        scope = CursorScope("scim_tokens", tenant_id)
        window = scope.window(**page)
        await self._require_owner(session, tenant_id, caller_user_id)
        rows = await self._tokens.page(session, tenant_id, window, self._clock())
        return Page(ScimTokensListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str, caller_user_id: str, token_id: str
    ) -> ScimTokenResult:
        """A token without its text, for owners.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        await self._require_owner(session, tenant_id, caller_user_id)
        return await self._require(session, tenant_id, token_id, self._clock())

    @records("scim.token_revoked")
    async def revoke(
        self, session: Session, tenant_id: str, caller_user_id: str, token_id: str
    ) -> ScimTokenResult:
        """End a token, as an owner. It is refused from the next request on. Done twice, it changes nothing.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        if is_storable_id(token_id):
            await self._tokens.lock(session, tenant_id, token_id)
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "revoke SCIM tokens")
        now = self._clock()
        found = await self._require(session, tenant_id, token_id, now)
        if found.revoked_at is not None:
            return found
        await self._tokens.revoke(session, tenant_id, token_id, now, actor=caller_user_id)
        return await self._require(session, tenant_id, token_id, now)

    async def authenticate(self, session: Session, token: str) -> ScimCaller | None:
        """Whose token it is. None: no active token of an active tenant has this text."""
        form = _TOKEN.fullmatch(token)
        if form is None or not is_storable_id(form["tenant_id"]):
            return None
        now = self._clock()
        return await self._tokens.authenticate(
            session, form["tenant_id"], _hash(token), now, used_before=now - BETWEEN_USES
        )

    async def record_use(self, session: Session, caller: ScimCaller) -> None:
        """Store the time of the last use, unless it was stored within the last minute."""
        now = self._clock()
        await self._tokens.record_use(session, caller, now, used_before=now - BETWEEN_USES)

    async def _require_owner(self, session: Session, tenant_id: str, caller_user_id: str) -> None:
        access = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "see SCIM tokens")

    async def _require(
        self, session: Session, tenant_id: str, token_id: str, now: datetime
    ) -> ScimTokenResult:
        found = None
        if is_storable_id(token_id):
            found = await self._tokens.find(session, tenant_id, token_id, now)
        if found is None:
            raise NotFoundError("This tenant has no such SCIM token.")
        return found


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
