"""The SCIM endpoints on a real HTTP server, for clients and checkers that block."""

import asyncio
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import uvicorn
from pydantic import SecretStr
from starlette.routing import Mount, Router
from support.pgbouncer import through
from support.postgres import POOLER
from support.world import PostgresWorld, RealClock

from hoc.asgi import Accounts
from hoc.settings import Settings

PATH = "/scim/v2"


@dataclass(frozen=True)
class ServedDirectory:
    """Where a tenant's directory is served, and a token for it."""

    url: str
    token: str
    tenant_id: str
    owner: str


@contextmanager
def serving_directory(database_url: str, data_dir: Path) -> Generator[ServedDirectory]:
    """A new tenant's directory, served by an application that mounts it, in a thread."""
    settings = Settings(
        database_url=SecretStr(through(database_url)),
        data_dir=data_dir,
        pooler=POOLER,
        send_mail=False,
        invitations_per_recipient_per_day=1_000_000,
    )
    accounts = Accounts(settings)
    application = Router([Mount(PATH, accounts.scim_app)], lifespan=accounts.lifespan)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", ws="none"))
    served: list[tuple[str, str, str]] = []
    thread = Thread(target=asyncio.run, args=(_serve(server, accounts, served),))
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("The server did not start.")
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield ServedDirectory(f"http://127.0.0.1:{port}{PATH}", *served[0])
    finally:
        server.should_exit = True
        thread.join()


async def _serve(server: uvicorn.Server, accounts: Accounts, served: list[tuple[str, str, str]]) -> None:
    world = PostgresWorld(accounts.database, RealClock())
    tenant_id, owner = await world.tenant(seats=10_000)
    async with accounts.database.transaction() as session:
        made = await accounts.facade.scim_tokens.create(
            session, tenant_id, owner, name=f"Checker {uuid.uuid4().hex[:8]}"
        )
    served.append((made.token, tenant_id, owner))
    await server.serve()
