"""A Starlette application that mounts the console and the identity service. hoc verifies the tokens.

    HOC_DATABASE_URL=postgresql://… HOC_JWT_ISSUER=https://login.example.com HOC_JWT_AUDIENCE=console \
    HOC_JWT_PUBLIC_KEY="$(cat public-key.pem)" uvicorn --app-dir examples starlette_app:app

    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/team/users

A back end whose token has the scope `accounts:write` creates accounts:

    curl -H "Authorization: Bearer $BACK_END" -H 'Content-Type: application/json' \
      http://127.0.0.1:8000/api/v1/accounts/ensure \
      -d '{"user_id": "usr_ada", "email": "ada@example.com", "name": "Ada"}'

Use `JwksUrl("https://…/jwks.json")` instead of `StaticKeys` when the issuer publishes its keys.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

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


async def home(_request: Request) -> PlainTextResponse:
    """A public route: the authentication above protects only the mounted applications."""
    return PlainTextResponse("The team's console is under /team.")


app = Starlette(
    routes=[Route("/", home), Mount("/team", accounts.console_app), Mount("/api/v1", accounts.identity_app)],
    lifespan=accounts.lifespan,
)
