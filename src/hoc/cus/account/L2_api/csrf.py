"""Protection from cross-site request forgery: a foreign page that makes a signed-in browser send a request.

A browser says by ``Sec-Fetch-Site`` or ``Origin`` where a request comes from. A page can forge neither, and
without the server's consent (CORS) it can send neither JSON nor a header of its own choice.
"""

from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from hoc.cus.account.L2_api.authentication import caller_of
from hoc.cus.account.L2_api.request import JSON
from hoc.cus.account.L5_schemas.errors import ForbiddenError

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user's own act, such as a bookmark
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_FOREIGN: Final = (
    "The request comes from a page of another origin. For a signed-in user, only the application's own pages"
    " and origins in HOC_TRUSTED_ORIGINS may change something."
)
_UNPROVEN: Final = (
    "Nothing shows that the application's own page sent this request. Send the header"
    " Content-Type: application/json or X-Hoc-Request: 1."
)


def parse_origins(listed: str, *, setting: str = "HOC_TRUSTED_ORIGINS") -> frozenset[str]:
    """Return the origins in a text, separated by spaces or commas. Raises ValueError for one with a path."""
    return frozenset(_parse_origin(given, setting) for given in listed.replace(",", " ").split())


def origin_of(url: str) -> str:
    """Return a URL's origin as browsers write it (RFC 6454): in lower case, without the default port."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}"


def check_origin(request: Request, trusted_origins: AbstractSet[str]) -> None:
    """Raise ForbiddenError for a change by a signed-in user that a foreign page may have caused."""
    if request.scope["method"] in _SAFE or caller_of(request) is None:
        return
    reason = _reason_to_refuse(request.headers, trusted_origins)
    if reason is not None:
        raise ForbiddenError(reason, code="cross_site_request")


def _reason_to_refuse(headers: Headers, trusted_origins: AbstractSet[str]) -> str | None:
    # A browser adds cookies, client certificates and HTTP Basic to a foreign page's request. With a cookie,
    # the token may be one that a proxy has put in its place.
    if _has_token(headers) and "cookie" not in headers:
        return None
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin in trusted_origins:
        return None
    # Sec-Fetch-Site first: it is right even behind a proxy that rewrites Host.
    if site is not None:
        return None if site in _OWN_SITES else _FOREIGN
    if origin is not None:
        return None if _is_of_host(origin, headers) else _FOREIGN
    return None if _no_form_could_send(headers) else _UNPROVEN


def _parse_origin(given: str, setting: str) -> str:
    parts = urlsplit(given)
    if not parts.scheme or not parts.netloc or given.lower() != f"{parts.scheme}://{parts.netloc.lower()}":
        raise ValueError(
            f"{setting}: {given!r} is not an origin. Write scheme and host, and the port if it is"
            " not the default: https://app.example.com."
        )
    return origin_of(given)


def _has_token(headers: Headers) -> bool:
    return headers.get("authorization", "")[:7].lower() == "bearer "


def _is_of_host(origin: str, headers: Headers) -> bool:
    """Return whether the origin's host is the request's. The scheme is lost where a proxy ends TLS."""
    scheme, _, host = origin.partition("://")
    asked = headers.get("host", "").lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
    return bool(host) and host == asked


def _no_form_could_send(headers: Headers) -> bool:
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return content_type == JSON or _has_token(headers) or any(name.startswith("x-hoc-") for name in headers)
