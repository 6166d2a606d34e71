"""What the claims of a verified access token say of its caller."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from starlette.authentication import AuthenticationError

from hoc.cus.account.L2_api.authentication.caller import identifier, optional_identifier

_SCOPE_CLAIMS = ("scope", "scopes", "scp")
_BACK_CHANNEL_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"

Claims = Mapping[str, object]
ValueT = TypeVar("ValueT")


def user_id(claims: Claims) -> str:
    """Return `sub`. This and the functions below raise AuthenticationError, which names the wrong claim."""
    return _read("sub", lambda: identifier(claims.get("sub")))


def expiry(claims: Claims) -> float:
    """Return `exp`, in seconds since the epoch."""

    def read() -> float:
        expires_at = claims.get("exp")
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
            raise TypeError("It must be a number of seconds.")
        if isinstance(expires_at, float) and not math.isfinite(expires_at):
            raise ValueError("It must be finite.")
        return expires_at

    return _read("exp", read)


def tenant_id(claims: Claims, path: str) -> str | None:
    """Return the text at `path`, as `claim_at` finds it."""
    return _read(path, lambda: optional_identifier(claim_at(claims, path)))


def email(claims: Claims) -> tuple[str | None, bool]:
    """Return the address and whether it is verified (OpenID Connect Core, section 5.1).

    Without `email_verified`, the address is not verified. With any value but true, there is no address.
    """
    address = _read("email", lambda: optional_identifier(claims.get("email")))
    if address is None or "email_verified" not in claims:
        return address, False
    # Cognito and Apple write "true" as text.
    verified = claims["email_verified"] is True or claims["email_verified"] == "true"
    return (address, True) if verified else (None, False)


def scopes(claims: Claims) -> tuple[str, ...]:
    """Return the scopes, from space-separated text or a list."""
    name = next((name for name in _SCOPE_CLAIMS if claims.get(name) is not None), None)
    if name is None:
        return ()

    def read() -> tuple[str, ...]:
        granted = claims[name]
        if isinstance(granted, str):
            return tuple(granted.split())
        if isinstance(granted, list):
            return tuple(identifier(scope) for scope in cast("list[object]", granted))
        raise TypeError("It must be text or a list.")

    return _read(name, read)


def check_audience(claims: Claims, name: str, audience: str | Sequence[str]) -> None:
    """Raise unless the claim `name`, a text or a list, has one of the expected audiences."""
    named = claims.get(name)
    if named is None or named in ("", []):
        raise AuthenticationError(f"The access token lacks the claim {name}.")
    expected = [audience] if isinstance(audience, str) else audience
    if not any(each in expected for each in _as_list(named)):
        raise AuthenticationError(f"The access token is for another audience: see its claim {name}.")


def refuse_logout_token(claims: Claims) -> None:
    """Raise for a logout token, whose `typ` is only recommended (OpenID Back-Channel Logout, 2.4)."""
    events = claims.get("events")
    if isinstance(events, Mapping) and _BACK_CHANNEL_LOGOUT in events:
        raise AuthenticationError("This is a logout token. Send an access token.")


def claim_at(claims: Claims, path: str) -> object:
    """Return the value at `path`, None where it is missing; ValueError where it is not a single one.

    `path` is a claim's name, or names joined by dots for a member of an object. A name may contain dots
    itself: the longest name that exists is taken. A list of one element is that element. An object that has
    not the name, but one object, is that object: Keycloak writes `"organization": {"<alias>": {"id": "…"}}`.
    """
    return _member(claims, path)


def _member(value: object, path: str, *, under_alias: bool = False) -> object:
    if isinstance(value, list):
        value = _single(cast("list[object]", value))
    if not path or value is None or value == "":
        return value
    if not isinstance(value, Mapping):
        raise ValueError("It must be in an object there.")  # noqa: TRY004 - it is data
    members = cast("Mapping[str, object]", value)
    for name, rest in _names(path):
        if name in members:
            return _member(members[name], rest)
    if members and not under_alias and all(isinstance(each, Mapping) for each in members.values()):
        return _member(list(members.values()), path, under_alias=True)
    return None


def _names(path: str) -> Iterator[tuple[str, str]]:
    """Yield the possible first names of a path, longest first, with the rest of the path."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        yield ".".join(parts[:count]), ".".join(parts[count:])


def _single(values: list[object]) -> object:
    if len(values) > 1:
        raise ValueError("It must have one value, and has several.")
    return values[0] if values else None


def _as_list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _read(name: str, read: Callable[[], ValueT]) -> ValueT:
    try:
        return read()
    except (ValueError, TypeError) as error:
        # The errors are raised in this module and in `caller`, and contain no value.
        raise AuthenticationError(f"The access token's claim {name} is malformed. {error}") from None
