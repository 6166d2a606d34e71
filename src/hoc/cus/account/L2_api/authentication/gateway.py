"""Callers from the headers of a gateway that has authenticated them."""

import hmac
from collections.abc import Iterable
from string import ascii_letters, digits
from typing import cast

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection
from starlette.types import Scope

from hoc.cus.account.L2_api.authentication.caller import Caller, identifier, optional_identifier

MIN_SECRET_LENGTH = 16
ISSUER = "gateway"
TRAILERS_DISCARDED = "hoc.trailers_discarded"
"""The ASGI extension of a server that never puts fields after the header block into ``headers``."""

_SECRET = b"x-hoc-gateway-secret"
_USER_ID = b"x-hoc-user-id"
_TENANT_ID = b"x-hoc-tenant-id"
_EMAIL = b"x-hoc-email"
_EMAIL_VERIFIED = b"x-hoc-email-verified"
_SCOPES = b"x-hoc-scopes"
_OURS = frozenset({_SECRET, _USER_ID, _TENANT_ID, _EMAIL, _EMAIL_VERIFIED, _SCOPES})

# Proxies and CGI-like servers replace `_`, `.` and other punctuation by one character. A header that becomes
# one of ours by this is an attack on the gateway's filter.
_LETTERS_AND_DIGITS = frozenset((ascii_letters + digits).encode())
_FOLDED = bytes(code if code in _LETTERS_AND_DIGITS else ord("-") for code in range(256)).lower()


class GatewayBackend(AuthenticationBackend):
    """Trusts `X-Hoc-User-Id` and the other identity headers if `X-Hoc-Gateway-Secret` is right.

    The others are `X-Hoc-Tenant-Id`, `-Email`, `-Email-Verified` and `-Scopes`. Values are UTF-8; spaces
    separate scopes; an empty value counts as absent. Only the value `true` beside an address says that it
    is verified. A request without these headers, or with the right secret alone, is anonymous.
    AuthenticationError is raised for a wrong or missing secret, a repeated header, and a name that a proxy
    may turn into one of these (`X_Hoc_User_Id`).

    A client may send fields after a chunked body (trailers), and some gateways pass them on. uvicorn's
    httptools protocol appends them to the headers, even before the application is called. So these headers
    raise AuthenticationError in a request with `Transfer-Encoding`, unless the server says in the scope's
    ``extensions`` that it discards trailers (`TRAILERS_DISCARDED`), as `hoc serve` does.
    """

    def __init__(self, *, secret: str) -> None:
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(f"The gateway secret must have at least {MIN_SECRET_LENGTH} characters.")
        self._secret = secret.encode()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        headers = _our_headers(cast("Iterable[tuple[bytes, bytes]]", conn.scope["headers"]))
        if not headers:
            return None
        if _may_have_trailers(conn.scope):
            raise AuthenticationError(
                "The gateway's identity headers are not accepted in a chunked request, because this server"
                " may take trailers for headers. Send Content-Length."
            )
        if not hmac.compare_digest(headers.pop(_SECRET, b""), self._secret):
            raise AuthenticationError(
                "The identity headers are not from the gateway: X-Hoc-Gateway-Secret is missing or wrong."
            )
        identity = {name: _text(value) for name, value in headers.items() if value}
        if not identity:
            return None
        email = identity.get(_EMAIL)
        try:
            caller = Caller(
                user_id=identifier(identity.get(_USER_ID)),
                tenant_id=optional_identifier(identity.get(_TENANT_ID)),
                email=optional_identifier(email),
                email_verified=email is not None and identity.get(_EMAIL_VERIFIED) == "true",
                issuer=ISSUER,
            )
        except ValueError:
            raise AuthenticationError(
                "The gateway's identity headers are incomplete or malformed. X-Hoc-User-Id is required."
            ) from None
        return AuthCredentials(identity.get(_SCOPES, "").split()), caller


def _our_headers(raw_headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the gateway's headers by lower-case name; AuthenticationError for repeated and similar names."""
    found: dict[bytes, bytes] = {}
    for raw_name, value in raw_headers:
        name = raw_name.translate(_FOLDED)
        if name not in _OURS:
            continue
        if raw_name.lower() != name:
            raise AuthenticationError("A header's name is similar to one of the gateway's identity headers.")
        if name in found:
            raise AuthenticationError("One of the gateway's identity headers was sent more than once.")
        found[name] = value
    return found


def _may_have_trailers(scope: Scope) -> bool:
    if TRAILERS_DISCARDED in scope.get("extensions", {}):
        return False
    return any(name.lower() == b"transfer-encoding" for name, _ in scope["headers"])


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise AuthenticationError("A gateway identity header is not UTF-8.") from None
