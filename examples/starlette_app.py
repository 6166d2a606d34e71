"""A plain Starlette application that mounts the console elsewhere and lets hoc verify access tokens.

    HOC_DATABASE_URL=postgresql://… HOC_JWT_ISSUER=https://login.example.com HOC_JWT_AUDIENCE=console \
    HOC_JWT_PUBLIC_KEY="$(cat public-key.pem)" uvicorn --app-dir examples starlette_app:app

    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/team/users

Use `JwksUrl("https://…/jwks.json")` instead of `StaticKeys` where the issuer publishes its keys.
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
    """Answer everybody: the authentication above guards the mounted console only."""
    return PlainTextResponse("The team's console is under /team.")


app = Starlette(routes=[Route("/", home), Mount("/team", accounts.app)], lifespan=accounts.lifespan)
