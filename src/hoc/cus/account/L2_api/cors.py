"""Consent that pages of other origins call hoc from a browser (CORS)."""

from collections.abc import Set as AbstractSet
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from hoc.cus.account.L2_api.csrf import parse_origins

ANY_ORIGIN: Final = frozenset({"*"})
_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
_SENT: Final = (
    "Authorization",
    "Consistency-Token",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Hoc-Request",
    "X-Request-Id",
)
_READ: Final = ("Consistency-Token", "ETag", "Link", "Retry-After", "WWW-Authenticate", "X-Request-Id")


def cors_origins(listed: str | None) -> frozenset[str]:
    """The origins in ``HOC_CORS_ORIGINS``. Raises ValueError for what is none, and ``*`` among others."""
    if (listed or "").strip() == "*":
        return ANY_ORIGIN
    return parse_origins(listed or "", setting="HOC_CORS_ORIGINS")


def with_cors(app: ASGIApp, origins: AbstractSet[str], *, trusted_origins: AbstractSet[str]) -> ASGIApp:
    """The application, with the headers for these origins; without origins, the application itself.

    A browser sends cookies only if all origins are trusted with signed-in users, which ``*`` never is.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(origins),
        allow_methods=_METHODS,
        allow_headers=_SENT,
        allow_credentials=origins <= trusted_origins,
        expose_headers=_READ,
    )
