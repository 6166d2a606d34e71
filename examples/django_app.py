"""Django and the console in one ASGI application, and a Django view that calls hoc. hoc verifies the tokens.

HOC_DATABASE_URL=postgresql://… HOC_JWT_ISSUER=https://login.example.com HOC_JWT_AUDIENCE=console \
    HOC_JWT_PUBLIC_KEY="$(cat public-key.pem)" uvicorn --app-dir examples django_app:app

curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/accounts/users
curl http://127.0.0.1:8000/tenants/ten_…/members
"""

# Django has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import os

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import JwtBackend, StaticKeys
from hoc.settings import Settings

# A real project has them in its settings module.
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["127.0.0.1"])

accounts = Accounts(
    Settings(),
    authentication=JwtBackend(
        key_source=StaticKeys.from_pem(os.environ["HOC_JWT_PUBLIC_KEY"]),
        issuer=os.environ["HOC_JWT_ISSUER"],
        audience=os.environ["HOC_JWT_AUDIENCE"],
    ),
)


def members(_request: HttpRequest, tenant_id: str) -> JsonResponse:
    """Call hoc in a synchronous view: under ASGI, `async_to_sync` runs it in the server's event loop."""

    async def read() -> int:
        async with accounts.database.transaction() as session:
            return (await accounts.facade.list_users(session, tenant_id, limit=1)).total

    return JsonResponse({"members": async_to_sync(read)()})


urlpatterns = [path("tenants/<tenant_id>/members", members)]

app = Starlette(
    routes=[Mount("/accounts", accounts.console_app), Mount("/", get_asgi_application())],
    lifespan=accounts.lifespan,
)
