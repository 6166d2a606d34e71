"""A FastAPI application with its own sessions, its own routes, and the accounts console under /accounts.

    EXAMPLE_SESSIONS='{"any-secret": {"user_id": "usr_…", "tenant_id": "ten_…"}}' \
    HOC_DATABASE_URL=postgresql://… uvicorn --app-dir examples fastapi_app:app

`hoc demo` prints existing user and tenant ids. Then, as that user:

    curl -b session=any-secret http://127.0.0.1:8000/hello
    curl -b session=any-secret http://127.0.0.1:8000/accounts/users
    curl -b session=any-secret -H 'X-Hoc-Request: 1' -X POST http://127.0.0.1:8000/accounts/tenant/leave

The last one needs a header that no foreign page can send. A browser's own pages need none: hoc reads where
the browser says that a request comes from.
"""

import json
import os
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException, Request
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from hoc.asgi import Accounts
from hoc.settings import Settings


@dataclass(frozen=True)
class HostUser(BaseUser):
    """The application's own user class; hoc reads `user_id` and `tenant_id` from it."""

    user_id: str
    tenant_id: str

    @property
    def is_authenticated(self) -> bool:
        """Whether the user is signed in. hoc reads this first."""
        return True

    @property
    def display_name(self) -> str:
        """The name that Starlette shows in logs and templates."""
        return self.user_id


# A real application stores its sessions.
SESSIONS = {
    secret: HostUser(**user) for secret, user in json.loads(os.environ.get("EXAMPLE_SESSIONS", "{}")).items()
}


class SessionCookie(AuthenticationBackend):
    """Identifies the caller by the application's own cookie."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the signed-in user, or None for a request without a session's cookie."""
        user = SESSIONS.get(conn.cookies.get("session", ""))
        return None if user is None else (AuthCredentials(["authenticated"]), user)


accounts = Accounts(Settings())
app = FastAPI(
    lifespan=accounts.lifespan, middleware=[Middleware(AuthenticationMiddleware, backend=SessionCookie())]
)
app.mount("/accounts", accounts.console_app)


@app.get("/hello")
async def hello(request: Request) -> dict[str, str]:
    """One of the application's own routes, with the same sign-in."""
    if not request.user.is_authenticated:
        raise HTTPException(401, "Sign in first.")
    return {"hello": request.user.display_name}
