"""`hoc relay`: the events part of a server, without the routes of accounts."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from logging.config import dictConfig

from pydantic import SecretStr

from hoc.asgi import Accounts
from hoc.cli.configuration import check_nats, load_settings, require_database, reveal, running_nats
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.listening import bound, listen, resolve
from hoc.cli.progress import print_step
from hoc.embedded import DataDirectory
from hoc.server.hooks import load_hooks
from hoc.server.relay import observable
from hoc.settings import Settings
from hoc.telemetry.logs import logging_config
from hoc.telemetry.metrics import EventMetrics


def relay(data: DataDirectory) -> None:
    """Relay events until SIGTERM or SIGINT, on HOC_DATABASE_URL and HOC_NATS_URL or a running server's.

    With HOC_WEBHOOKS, it also sends webhooks, for which it needs no NATS.
    """
    settings = load_settings()
    database_url = require_database(settings, data)
    nats_url = running_nats(settings, data)
    if nats_url is None and not settings.webhooks:
        raise CommandError(f"No NATS runs for {data.path}: set HOC_NATS_URL to the NATS to publish to.")
    if nats_url is not None:
        check_nats(settings)
    dictConfig(logging_config(settings.log_format))
    found = {
        "database_url": SecretStr(database_url),
        "nats_url": None if nats_url is None else SecretStr(nats_url),
        "send_mail": False,  # a relay needs no templates
        # For readiness and inbound messages; the relay itself has connections of its own.
        "pool_size": settings.pool_size if settings.webhooks else 1,
    }
    with database_errors(database_url):
        asyncio.run(_run(settings.model_copy(update=found)))


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    metrics = EventMetrics()
    try:
        accounts = Accounts(
            settings, hooks=load_hooks(settings.hooks), observer=metrics, delivery_observer=metrics
        )
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    try:
        await accounts.readiness.check()
        async with (
            accounts.readiness.running(),
            accounts.events.running(),
            accounts.webhooks.running() if accounts.webhooks is not None else nullcontext(),
            _observable(settings, accounts, metrics),
        ):
            print_step("Relaying events; Ctrl-C stops it")
            await stopped.wait()
    finally:
        await accounts.database.close()


@asynccontextmanager
async def _observable(settings: Settings, accounts: Accounts, metrics: EventMetrics) -> AsyncGenerator[None]:
    """Serve health and metrics at HOC_RELAY_ADDRESS, if it is set. Raises CommandError if it is taken."""
    if not settings.relay_address:
        yield
        return
    host, _, port = settings.relay_address.rpartition(":")
    with bound(resolve(host, int(port))) as (listener, address):
        listen(listener, address)
        async with observable(listener, accounts, metrics, token=reveal(settings.operations_token)):
            print_step(f"Health and metrics are at {address.url}")
            yield
