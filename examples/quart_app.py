"""Quart and the console in one ASGI application. hoc verifies the tokens.

HOC_DATABASE_URL=postgresql://… HOC_JWT_ISSUER=https://login.example.com HOC_JWT_AUDIENCE=console \
    HOC_JWT_PUBLIC_KEY="$(cat public-key.pem)" uvicorn --app-dir examples quart_app:app

curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/accounts/users
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import JwtBackend, StaticKeys
from hoc.settings import Settings

accounts = Accounts(
    Settings(),
    authentication=JwtBackend(
        key_source=StaticKeys.from_pem(os.environ["HOC_JWT_PUBLIC_KEY"]),
        issuer=os.environ["HOC_JWT_ISSUER"],
        audience=os.environ["HOC_JWT_AUDIENCE"],
    ),
)
quart = Quart(__name__)


@quart.get("/hello")
async def hello() -> dict[str, str]:
    """One of the application's own routes."""
    return {"hello": "Quart"}


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
    """Run hoc's background work, and Quart's own `before_serving` and `after_serving`."""
    async with accounts.lifespan():
        await quart.startup()
        try:
            yield
        finally:
            await quart.shutdown()


routes = [Mount("/accounts", accounts.console_app), Mount("/", cast("Any", quart))]  # Quart has its own types
app = Starlette(routes=routes, lifespan=lifespan)
