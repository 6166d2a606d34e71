"""The ASGI applications, put together from settings and from what they serve."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from starlette.authentication import AuthenticationBackend
from starlette.routing import Route

from hoc import optional_parts
from hoc.concurrency.single_flight import SingleFlight
from hoc.cus.account.L2_api.admission import slots
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.callers import Callers
from hoc.cus.account.L2_api.console import CONSOLE_OPERATIONS
from hoc.cus.account.L2_api.console.domains import DOMAINS
from hoc.cus.account.L2_api.console.invitations import issue_invitation_link
from hoc.cus.account.L2_api.console.scim import SCIM
from hoc.cus.account.L2_api.console.webhooks import WEBHOOKS
from hoc.cus.account.L2_api.cors import cors_origins
from hoc.cus.account.L2_api.csrf import origin_of, parse_origins
from hoc.cus.account.L2_api.deployment_webhooks import DEPLOYMENT_WEBHOOKS
from hoc.cus.account.L2_api.endpoints import Dependencies, routes
from hoc.cus.account.L2_api.feed import FEED_OPERATIONS
from hoc.cus.account.L2_api.identity import IDENTITY_OPERATIONS, issue_email_change_link
from hoc.cus.account.L2_api.operations import AnyOperation
from hoc.cus.account.L2_api.request import BodyParser
from hoc.cus.account.L2_api.subject_rights import SUBJECT_RIGHTS_OPERATIONS
from hoc.cus.account.L2_api.support_desk import SUPPORT_DESK_OPERATIONS
from hoc.cus.account.L2_api.tenants import TENANT_OPERATIONS
from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.wiring import access_reader, event_feed, idempotency, owner_reader, time_limit
from hoc.database import Database, Reads
from hoc.documents import asyncapi_routes, openapi_routes
from hoc.settings import Settings
from hoc.telemetry.tracing import route_describer

Served: TypeAlias = tuple[Sequence[AnyOperation], object]
"""Operations, and what their handlers take first."""


class Applications:
    """Makes the applications. They share the limits on requests.

    ``authentication`` is for programs: None leaves that to the host. ``on_work_queued`` is called after a
    commit that may have queued a mail.
    """

    def __init__(
        self,
        settings: Settings,
        facade: AccountsFacade,
        identity_service: AccountService,
        database: Database,
        reads: Reads,
        *,
        authentication: AuthenticationBackend | None,
        on_work_queued: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._facade = facade
        self._identity_service = identity_service
        callers = Callers(
            access_reader(database),
            owner_reader(database),
            primary_issuer=settings.primary_issuer_or_default,
            authentication=authentication,
        )
        self._dependencies = Dependencies(
            database=database,
            callers=callers,
            bodies=BodyParser(slots(1)),
            pages=SingleFlight(),
            idempotency=idempotency(),
            on_work_queued=on_work_queued,
            reads=reads,
        )
        self._api = partial(
            Api,
            authentication=authentication,
            limiter=slots(settings.max_requests),
            time_limit=time_limit(settings.request_timeout_ms / 1_000),
            rate_limits=optional_parts.rate_limits(settings),
            on_route=route_describer(),
            trusted_origins=_trusted_origins(settings),
            cors_origins=cors_origins(settings.cors_origins),
        )

    def console(self) -> Api:
        return self._api(self._routes("hoc console", (CONSOLE_OPERATIONS, self._facade)))

    def identity(self) -> Api:
        served = self._routes(
            "hoc identity",
            (IDENTITY_OPERATIONS, self._identity_service),
            (TENANT_OPERATIONS, self._facade),
            (SUBJECT_RIGHTS_OPERATIONS, self._facade),
            (SUPPORT_DESK_OPERATIONS, self._facade),
            (FEED_OPERATIONS, event_feed()),
            (DEPLOYMENT_WEBHOOKS, self._facade),
        )
        return self._api([*served, *asyncapi_routes(with_page=self._settings.shows_docs)])

    def scim(self) -> Api:
        return optional_parts.scim_app(self._facade, self._dependencies, self._api)

    def pages(self, authentication: AuthenticationBackend) -> Api:
        return optional_parts.pages_app(
            self._settings,
            self._facade,
            self._identity_service,
            self._dependencies,
            authentication=authentication,
            api=self._api,
        )

    def _routes(self, title: str, *parts: Served) -> list[Route]:
        """The routes of the operations that the settings allow, and of the document about them."""
        unserved = _unserved(self._settings)
        served = [([each for each in part if each not in unserved], rules) for part, rules in parts]
        operations = [each for part, _ in served for each in part]
        return [
            *(route for part, rules in served for route in routes(part, rules, self._dependencies)),
            *openapi_routes(operations, title=title, with_page=self._settings.shows_docs),
        ]


def _unserved(settings: Settings) -> list[AnyOperation]:
    unserved: list[AnyOperation] = (
        [] if settings.invitation_links else [issue_invitation_link, issue_email_change_link]
    )
    unserved += [] if settings.domains else DOMAINS
    unserved += [] if settings.scim else SCIM
    unserved += [] if settings.webhooks else [*WEBHOOKS, *DEPLOYMENT_WEBHOOKS]
    return unserved


def _trusted_origins(settings: Settings) -> frozenset[str]:
    listed = parse_origins(settings.trusted_origins or "")
    # The default is a local address, at which anything may run.
    return listed | {origin_of(settings.public_url)} if "public_url" in settings.model_fields_set else listed
