"""Webhook endpoints: where a tenant's events, or those of the whole deployment, are sent.

``tenant_id`` is None for the whole deployment. Then no membership is asked for: whoever calls has the right
to its endpoints by other means, such as a scope.
"""

import secrets
from base64 import b64encode
from datetime import timedelta
from typing import Final, TypeAlias, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.numbers import is_whole, why_not_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import clean_line
from hoc.cus.account.L5_engines.webhook_stores import WebhookHistoryStore, WebhookStore
from hoc.cus.account.L5_engines.webhook_urls import webhook_url
from hoc.cus.account.L5_schemas.errors import (
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import Page, Versioned
from hoc.cus.account.L5_schemas.values import UNSET, Unset
from hoc.cus.account.L5_schemas.webhooks import (
    DEPLOYMENT,
    SetAsideListResult,
    WebhookAttemptsListResult,
    WebhookDeletedResult,
    WebhookResult,
    WebhookSecretResult,
    WebhookSendResult,
    WebhooksListResult,
    WebhookTerms,
)

EventTypes: TypeAlias = list[str]

MAX_WEBHOOKS: Final = 50
MAX_OVERLAP_HOURS: Final = 168
_SECRET_BYTES: Final = 32  # Standard Webhooks: 24 to 64


class Webhooks:
    def __init__(
        self,
        webhooks: WebhookStore,
        history: WebhookHistoryStore,
        access: AccessReader,
        *,
        options: Options | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._webhooks = webhooks
        self._history = history
        self._access = access
        self._options = options or Options()
        self._clock = clock

    @records("webhook.created")
    async def create(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        *,
        url: str,
        event_types: EventTypes | None = None,
        description: str | None = None,
    ) -> WebhookSecretResult:
        """Create an endpoint, for owners and admins. Only this answer has its secret.

        It is sent the events from now on, of the given types, or all.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError or LimitExceededError.
        """
        terms = WebhookTerms(
            webhook_url("url", url, self._options.webhook_networks),
            _types(event_types),
            _description(description),
        )
        owner = await self._lock_owner(session, tenant_id, caller_user_id)
        if tenant_id is not None and await self._webhooks.count(session, owner) >= MAX_WEBHOOKS:
            raise LimitExceededError(
                f"This tenant has {MAX_WEBHOOKS} webhook endpoints, which is the limit. Delete one.",
                code="quota_exceeded",
            )
        endpoint_id, secret = new_id("wh"), _new_secret()
        await self._webhooks.create(
            session, owner, endpoint_id, terms, self._clock(), actor=caller_user_id, secret=secret
        )
        return WebhookSecretResult(endpoint_id, secret, None)

    async def list(
        self, session: Session, tenant_id: str | None, caller_user_id: str, **page: Unpack[PageArguments]
    ) -> Page[WebhooksListResult]:
        """The endpoints in the order in which they were created, for owners and admins.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        scope = CursorScope("webhooks", tenant_id or DEPLOYMENT)
        window = scope.window(**page)
        owner = await self._require_manager(session, tenant_id, caller_user_id)
        rows = await self._webhooks.page(session, owner, window)
        return Page(WebhooksListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str | None, caller_user_id: str, endpoint_id: str
    ) -> Versioned[WebhookResult]:
        """An endpoint, for owners and admins.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        owner = await self._require_manager(session, tenant_id, caller_user_id)
        return await self._require(session, owner, endpoint_id)

    @records("webhook.changed")
    async def update(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        *,
        url: str | None = None,
        event_types: EventTypes | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        enabled: bool | None = None,
        from_now: bool = False,
        expected_version: int | None = None,
    ) -> Versioned[WebhookResult]:
        """Set what is given, for owners and admins. None as types means all; as description, none.

        An endpoint that is enabled resumes where it stopped, or with ``from_now`` skips what it has missed.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError, NotFoundError or
        StaleVersionError.
        """
        new_url = None if url is None else webhook_url("url", url, self._options.webhook_networks)
        new_types = event_types if isinstance(event_types, Unset) else _types(event_types)
        new_description = description if isinstance(description, Unset) else _description(description)
        owner, found = await self._lock(session, tenant_id, caller_user_id, endpoint_id, expected_version)
        old_types = None if found.event_types is None else tuple(found.event_types)
        old = WebhookTerms(found.url, old_types, found.description)
        new = WebhookTerms(
            new_url or old.url,
            old.event_types if isinstance(new_types, Unset) else new_types,
            old.description if isinstance(new_description, Unset) else new_description,
        )
        was_enabled = found.disabled_reason is None
        is_enabled = was_enabled if enabled is None else enabled
        changed = [name for name in WebhookTerms.__slots__ if getattr(old, name) != getattr(new, name)]
        changed += ["status"] if is_enabled != was_enabled else []
        if changed:
            await self._webhooks.change(
                session,
                owner,
                endpoint_id,
                new,
                self._clock(),
                actor=caller_user_id,
                is_enabled=is_enabled,
                from_now=from_now and is_enabled and not was_enabled,
                changed=changed,
            )
        return await self._require(session, owner, endpoint_id)

    @records("webhook.secret_rotated")
    async def rotate_secret(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        *,
        overlap_hours: int = 24,
    ) -> WebhookSecretResult:
        """Give an endpoint a new secret, for owners and admins. Only this answer has it.

        For ``overlap_hours``, 0 to 168, what is sent has a signature of the secret before too.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        if wrong := why_not_whole(overlap_hours, 0, MAX_OVERLAP_HOURS):
            raise InvalidInputError.of("overlap_hours", wrong)
        owner, _ = await self._lock(session, tenant_id, caller_user_id, endpoint_id, None)
        now, secret = self._clock(), _new_secret()
        until = now + timedelta(hours=overlap_hours)
        await self._webhooks.rotate(
            session, owner, endpoint_id, secret, now, actor=caller_user_id, overlap_until=until
        )
        return WebhookSecretResult(endpoint_id, secret, until)

    @records("webhook.deleted")
    async def delete(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        *,
        expected_version: int | None = None,
    ) -> WebhookDeletedResult:
        """Delete an endpoint with its attempts, for owners and admins. It is sent nothing more.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError, NotFoundError or StaleVersionError.
        """
        owner, _ = await self._lock(session, tenant_id, caller_user_id, endpoint_id, expected_version)
        await self._webhooks.delete(session, owner, endpoint_id, self._clock(), actor=caller_user_id)
        return WebhookDeletedResult("Webhook endpoint deleted", endpoint_id)

    async def list_attempts(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        **page: Unpack[PageArguments],
    ) -> Page[WebhookAttemptsListResult]:
        """The attempts to deliver events to an endpoint, newest first, for owners and admins.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        scope = CursorScope("webhook_attempts", tenant_id or DEPLOYMENT, endpoint=endpoint_id)
        window = scope.window(**page)
        owner = await self._require_manager(session, tenant_id, caller_user_id)
        await self._require(session, owner, endpoint_id)
        rows = await self._history.attempts(session, owner, endpoint_id, window)
        return Page(WebhookAttemptsListResult(rows.rows, rows.has_more), scope.next_cursor(rows))

    async def list_set_aside(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        **page: Unpack[PageArguments],
    ) -> Page[SetAsideListResult]:
        """The events that an endpoint has refused ten times, oldest first, for owners and admins.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        scope = CursorScope("webhook_set_aside", tenant_id or DEPLOYMENT, endpoint=endpoint_id)
        window = scope.window(**page)
        owner = await self._require_manager(session, tenant_id, caller_user_id)
        await self._require(session, owner, endpoint_id)
        rows = await self._history.set_aside(session, owner, endpoint_id, window)
        return Page(SetAsideListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def send_again(
        self, session: Session, tenant_id: str | None, caller_user_id: str, endpoint_id: str, event_id: str
    ) -> WebhookSendResult:
        """Have an event sent once more, soon and out of order, for owners and admins.

        Also to a disabled endpoint. An event that was set aside no longer is once it is delivered.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError (also for an event of
        which no attempt to deliver it to this endpoint is listed).
        """
        owner, _ = await self._lock(session, tenant_id, caller_user_id, endpoint_id, None)
        if not await self._history.send_again(session, owner, endpoint_id, event_id, self._clock()):
            raise NotFoundError("No attempt to deliver such an event to this endpoint is listed.")
        return WebhookSendResult("The event will be sent once more", event_id)

    async def send_test(
        self, session: Session, tenant_id: str | None, caller_user_id: str, endpoint_id: str
    ) -> WebhookSendResult:
        """Have an event of the type ``webhook.test`` sent once, for owners and admins.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        owner, _ = await self._lock(session, tenant_id, caller_user_id, endpoint_id, None)
        event_id = new_id("test")
        await self._history.send_test(session, owner, endpoint_id, event_id, self._clock())
        return WebhookSendResult("A test will be sent", event_id)

    async def _lock(
        self,
        session: Session,
        tenant_id: str | None,
        caller_user_id: str,
        endpoint_id: str,
        expected: int | None,
    ) -> tuple[str, WebhookResult]:
        """Lock an endpoint for a caller who may change it. Returns its owner, too."""
        if expected is not None and not is_whole(expected):
            raise InvalidInputError.of("expected_version", "must be a whole number, an int")
        owner = DEPLOYMENT if tenant_id is None else tenant_id
        await self._webhooks.lock(session, owner, endpoint_id)
        if tenant_id is not None:
            access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
            require(access.role.can_manage_tenant, "manage webhooks")
        found = await self._require(session, owner, endpoint_id)
        if expected not in {None, found.version}:
            raise StaleVersionError("The webhook endpoint has changed since you read it. Read it again.")
        return owner, found.value

    async def _lock_owner(self, session: Session, tenant_id: str | None, caller_user_id: str) -> str:
        if tenant_id is None:
            return DEPLOYMENT
        await self._webhooks.lock_tenant(session, tenant_id)
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_tenant, "manage webhooks")
        return tenant_id

    async def _require_manager(self, session: Session, tenant_id: str | None, caller_user_id: str) -> str:
        if tenant_id is None:
            return DEPLOYMENT
        access = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_tenant, "manage webhooks")
        return tenant_id

    async def _require(self, session: Session, owner: str, endpoint_id: str) -> Versioned[WebhookResult]:
        found = await self._webhooks.find(session, owner, endpoint_id)
        if found is None:
            raise NotFoundError("There is no such webhook endpoint.")
        return found


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _types(given: list[str] | None) -> tuple[str, ...] | None:
    """The chosen types, in the order of the alphabet. Raises InvalidInputError."""
    if given is None:
        return None
    if not given:
        raise InvalidInputError.of("event_types", "must name a type, or be null for all")
    if unknown := sorted(set(given) - EVENTS.keys()):
        raise InvalidInputError.of("event_types", f"has no such types: {', '.join(unknown)[:200]}")
    return tuple(sorted(set(given)))


def _description(given: str | None) -> str | None:
    return None if given is None else clean_line("description", given)
