"""Health and metrics of `hoc relay`, at an address of its own."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from hoc.asgi import Accounts
from hoc.concurrency.background import in_background
from hoc.cus.account.L2_api.app import Api
from hoc.server.mounted import health_app, metrics_app
from hoc.server.operations import OperationsToken
from hoc.telemetry.metrics import EventMetrics


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the relay."""
        yield


@asynccontextmanager
async def observable(
    listener: socket.socket, accounts: Accounts, metrics: EventMetrics, *, token: str | None
) -> AsyncGenerator[None]:
    """Serve health and metrics on the socket until the end of the block."""
    api = Api([*health_app(accounts).routes, *metrics_app(accounts, metrics).routes])
    paths = ["/metrics", "/health/detailed"]
    app = api if token is None else OperationsToken(api, token=token, paths=paths)
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
    )
    server, ended = _Server(config), asyncio.Event()

    async def serve() -> None:
        try:
            await server.serve(sockets=[listener])
        finally:
            ended.set()

    async with in_background(serve, name="hoc-relay-http"):
        try:
            yield
        finally:
            server.should_exit = True
            await ended.wait()
