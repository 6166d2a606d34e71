"""`hoc relay`: the relay and the handlers of others' events alone, without HTTP."""

import asyncio
import signal
from logging.config import dictConfig

from pydantic import SecretStr

from hoc.asgi import Accounts
from hoc.cli.migrate import say
from hoc.cli.problems import CommandError, database_problems
from hoc.cli.running import load_settings, require_database, running_nats
from hoc.embedded import DataDirectory
from hoc.settings import Settings
from hoc.telemetry.logs import logging_config


def relay(data: DataDirectory) -> None:
    """Relay until SIGTERM or SIGINT, beside a running server or on HOC_DATABASE_URL and HOC_NATS_URL."""
    settings = load_settings()
    database_url = require_database(settings, data)
    nats_url = running_nats(settings, data)
    if nats_url is None:
        raise CommandError(f"No server runs on {data.path}: set HOC_NATS_URL to say where to publish to.")
    dictConfig(logging_config(settings.log_format))
    found = {"database_url": SecretStr(database_url), "nats_url": SecretStr(nats_url)}
    with database_problems(database_url):
        asyncio.run(_run(settings.model_copy(update=found)))


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    accounts = Accounts(settings)
    try:
        async with accounts.events.running():
            say("Relaying events; Ctrl-C stops it")
            await stopped.wait()
    finally:
        await accounts.database.close()
