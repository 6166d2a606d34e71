"""The parts that need an extra, imported only where they are used. Each raises ValueError without it."""

from typing import TYPE_CHECKING

from hoc.cus.account.wiring import frame_reader
from hoc.database import Database
from hoc.distribution import needing
from hoc.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.authentication import AuthenticationBackend

    from hoc.cus.account.L2_api.app import Api
    from hoc.cus.account.L2_api.endpoints import Dependencies
    from hoc.cus.account.L2_api.rate_limits import RateLimits
    from hoc.cus.account.L5_engines.account_service import AccountService
    from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
    from hoc.domains.checker import DomainChecker
    from hoc.webhooks.observer import DeliveryObserver
    from hoc.webhooks.sender import WebhookSender


def domain_checker(
    settings: Settings, database: Database, facade: "AccountsFacade"
) -> "DomainChecker | None":
    """None: domains are off."""
    if not settings.domains:
        return None
    with needing("domains", "HOC_DOMAINS needs"):
        from hoc.domains.checker import DomainChecker
        from hoc.domains.lookup import DnsLookup
    return DomainChecker(database, facade.domain_checks, DnsLookup(settings.dns_servers))


def webhook_sender(
    settings: Settings, database: Database, observer: "DeliveryObserver | None"
) -> "WebhookSender | None":
    """None: webhooks are off."""
    if not settings.webhooks:
        return None
    with needing("webhooks", "HOC_WEBHOOKS needs"):
        from hoc.webhooks.setup import create_sender
    return create_sender(database, settings, observer)


def rate_limits(settings: Settings) -> "RateLimits | None":
    """None: rate limits are off. Raises ValueError for a wrong setting, too."""
    if not settings.rate_limits:
        return None
    with needing("rate-limits", "HOC_RATE_LIMITS needs"):
        from hoc.cus.account.L2_api.rate_limits import RateLimits
    url = settings.rate_limit_storage_url
    return RateLimits(
        per_caller=settings.rate_limit_per_caller,
        per_address=settings.rate_limit_per_address,
        storage_url=url.get_secret_value() if url else None,
    )


def scim_app(facade: "AccountsFacade", dependencies: "Dependencies", api: "Callable[..., Api]") -> "Api":
    with needing("scim", "SCIM needs"):
        from hoc.scim import app
    return app.scim_app(
        dependencies.database,
        facade.scim_tokens,
        facade.provisioning,
        on_work_queued=dependencies.on_work_queued,
        api=api,
    )


def pages_app(
    settings: Settings,
    facade: "AccountsFacade",
    identity_service: "AccountService",
    dependencies: "Dependencies",
    *,
    authentication: "AuthenticationBackend",
    api: "Callable[..., Api]",
) -> "Api":
    """Raises ValueError for a wrong setting, too."""
    with needing("console", "The pages need"):
        from hoc.cus.account.L2_api.pages import app
        from hoc.cus.account.L2_api.pages.endpoint import PageParts
    parts = PageParts(
        accounts=facade,
        identity=identity_service,
        database=dependencies.database,
        callers=dependencies.callers,
        frames=frame_reader(),
        on_work_queued=dependencies.on_work_queued,
        reads=dependencies.reads,
    )
    return app.pages_app(settings, parts, authentication=authentication, api=api)
