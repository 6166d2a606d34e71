"""A Litestar application that mounts the console. hoc verifies the tokens.

HOC_DATABASE_URL=postgresql://… HOC_JWT_ISSUER=https://login.example.com HOC_JWT_AUDIENCE=console \
    HOC_JWT_PUBLIC_KEY="$(cat public-key.pem)" uvicorn --app-dir examples litestar_app:app

curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/accounts/users
"""

import os

from litestar import Litestar, asgi, get
from litestar.types import Receive, Scope, Send

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


@asgi("/accounts", is_mount=True, copy_scope=True)
async def console(scope: Scope, receive: Receive, send: Send) -> None:
    """Mount the console. `copy_scope` keeps its changes of the scope from Litestar."""
    await accounts.console_app(scope, receive, send)  # type: ignore[arg-type]  # Litestar's scope is an ASGI scope of a type of its own


@get("/hello")
async def hello() -> dict[str, str]:
    """One of the application's own routes."""
    return {"hello": "Litestar"}


app = Litestar([console, hello], lifespan=[accounts.lifespan])
