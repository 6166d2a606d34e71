"""`hoc relay`: the events part of a server, without HTTP."""

import asyncio
import signal
from logging.config import dictConfig

from pydantic import SecretStr

from hoc.asgi import Accounts
from hoc.cli.configuration import load_settings, require_database, running_nats
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.progress import print_step
from hoc.embedded import DataDirectory
from hoc.server.hooks import load_hooks
from hoc.settings import Settings
from hoc.telemetry.logs import logging_config


def relay(data: DataDirectory) -> None:
    """Relay events until SIGTERM or SIGINT, on HOC_DATABASE_URL and HOC_NATS_URL or a running server's."""
    settings = load_settings()
    database_url = require_database(settings, data)
    nats_url = running_nats(settings, data)
    if nats_url is None:
        raise CommandError(f"No NATS runs for {data.path}: set HOC_NATS_URL to the NATS to publish to.")
    dictConfig(logging_config(settings.log_format))
    found = {
        "database_url": SecretStr(database_url),
        "nats_url": SecretStr(nats_url),
        "send_mail": False,  # a relay needs no templates
    }
    with database_errors(database_url):
        asyncio.run(_run(settings.model_copy(update=found)))


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        accounts = Accounts(settings, hooks=load_hooks(settings.hooks))
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    try:
        await accounts.readiness.check()
        async with accounts.readiness.running(), accounts.events.running():
            print_step("Relaying events; Ctrl-C stops it")
            await stopped.wait()
    finally:
        await accounts.database.close()
