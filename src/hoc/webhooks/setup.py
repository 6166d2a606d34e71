"""The sender of webhooks, put together from settings."""

from hoc.cus.account.wiring import options_of, webhook_deliveries
from hoc.database import Database
from hoc.settings import Settings
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.connecting import SystemResolver, connection_pools
from hoc.webhooks.observer import DeliveryObserver
from hoc.webhooks.sender import WebhookSender


def create_sender(database: Database, settings: Settings, observer: DeliveryObserver | None) -> WebhookSender:
    """Raises ValueError for a wrong setting."""
    options = options_of(settings)

    def new_client() -> WebhookClient:
        resolver = SystemResolver()
        return WebhookClient(connection_pools(resolver, options.webhook_networks), settings.events_source)

    return WebhookSender(database, webhook_deliveries(options), new_client, observer=observer)
