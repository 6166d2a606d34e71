"""The caller of a request, from any backend."""

import re
from dataclasses import dataclass, field
from uuid import UUID

from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.requests import HTTPConnection

# Excludes control characters, line separators and lone surrogates. PostgreSQL rejects some of them; the
# others split log lines.
_IDENTIFIER = re.compile("[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,255}")


@dataclass(frozen=True, slots=True)
class Caller(BaseUser):
    """An authenticated user. `tenant_id` only selects a tenant; the membership row grants access to it.

    `email_verified` is true when whoever authenticated the caller says that the address is the caller's.
    `issuer` is who did: a token's `iss`, "gateway", or None where nobody says.
    """

    user_id: str
    tenant_id: str | None = None
    email: str | None = field(default=None, repr=False)
    email_verified: bool = False
    issuer: str | None = None

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.user_id

    @property
    def identity(self) -> str:
        return self.user_id


def identifier(value: object) -> str:
    """Return `value`; ValueError unless it is text of 1 to 255 characters without control characters."""
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise ValueError("An identifier is text of 1 to 255 characters without control characters.")


def optional_identifier(value: object) -> str | None:
    """Like `identifier`, but None for None and for empty text."""
    return None if value is None or value == "" else identifier(value)


def caller_of(conn: HTTPConnection) -> Caller | None:
    """Return the caller, or None for an anonymous request. Never raises.

    A host application's own user class works if it follows Starlette's `BaseUser`. Its `user_id`, or else its
    `identity`, is the user's id; `tenant_id`, `email`, `email_verified` and `issuer` are read if they exist.
    Only True counts as verified.
    """
    user: object = conn.scope.get("user")
    if isinstance(user, Caller):
        return user
    # `is True`, because a method in place of the property would be truthy.
    if _attribute(user, "is_authenticated") is not True:
        return None
    user_id = _attribute(user, "user_id")
    try:
        email = optional_identifier(_attribute(user, "email"))
        return Caller(
            user_id=identifier(_as_text(_attribute(user, "identity") if user_id is None else user_id)),
            tenant_id=optional_identifier(_as_text(_attribute(user, "tenant_id"))),
            email=email,
            email_verified=email is not None and _attribute(user, "email_verified") is True,
            issuer=optional_identifier(_attribute(user, "issuer")),
        )
    except ValueError:
        return None


def _attribute(user: object, name: str) -> object:
    try:
        value: object = getattr(user, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign class may raise anything
        return None
    return value


def _as_text(value: object) -> object:
    """Return a UUID or integer as text, because host applications use both as ids."""
    if isinstance(value, UUID | int) and not isinstance(value, bool):
        return str(value)
    return value


class _FirstOf(AuthenticationBackend):
    def __init__(self, backends: tuple[AuthenticationBackend, ...]) -> None:
        self._backends = backends

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        for backend in self._backends:
            result = await backend.authenticate(conn)
            if result is not None:
                return result
        return None


def any_of(*backends: AuthenticationBackend) -> AuthenticationBackend:
    """Return a backend that asks each in turn until one knows the caller. An AuthenticationError is final.

    Put `GatewayBackend` first, so that forged identity headers are rejected even beside a valid token.
    Without backends, every request is anonymous.
    """
    return _FirstOf(backends)
