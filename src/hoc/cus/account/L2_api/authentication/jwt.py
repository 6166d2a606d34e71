"""Callers from signed access tokens (RFC 6750, RFC 7519, RFC 8725)."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import jwt
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication.caller import Caller, identifier, optional_identifier
from hoc.cus.account.L2_api.authentication.keys import KeySource

MAX_TOKEN_LENGTH = 8192
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED_CLAIMS = ["exp", "aud", "iss", "sub"]
_SCOPE_CLAIMS = ("scope", "scopes", "scp")

# PyJWT raises all but the first two only after it has verified the signature, so none of these messages helps
# an attacker.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidSignatureError, "The access token's signature is wrong."),
    (jwt.InvalidAlgorithmError, "The access token's algorithm does not fit its key."),
    (jwt.ExpiredSignatureError, "The access token has expired. Obtain a new one."),
    (
        jwt.ImmatureSignatureError,
        "The access token is not valid yet. Check the issuer's clock and the server's.",
    ),
    (jwt.MissingRequiredClaimError, "The access token lacks one of the claims exp, aud, iss and sub."),
    (jwt.InvalidAudienceError, "The access token is for another audience."),
    (jwt.InvalidIssuerError, "The access token is from another issuer."),
)
_MALFORMED = "The access token is malformed."


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The content of a valid token. `expires_at` is in seconds since the epoch."""

    caller: Caller
    scopes: tuple[str, ...]
    expires_at: float


class VerifiedTokens:
    """A bounded cache of verified tokens: a repeated token costs a hash instead of a signature check.

    An entry ends when its token expires, and after `lifetime_seconds` at the latest, so that a withdrawn key
    stops working. Keys are digests of the tokens. Times are in seconds since the epoch.
    """

    def __init__(self, *, capacity: int = 16_384, lifetime_seconds: float = 60.0) -> None:
        self._capacity = capacity
        self._lifetime_seconds = lifetime_seconds
        self._entries: dict[bytes, tuple[float, VerifiedToken]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, *, now: float) -> VerifiedToken | None:
        digest = _digest(token)
        ends_at, verified = self._entries.get(digest, (0.0, None))
        if verified is not None and now >= ends_at:
            del self._entries[digest]
            return None
        return verified

    def put(self, token: str, verified: VerifiedToken, *, now: float) -> None:
        ends_at = min(verified.expires_at, now + self._lifetime_seconds)
        if now >= ends_at:
            return
        digest = _digest(token)
        self._entries.pop(digest, None)
        self._entries[digest] = (ends_at, verified)
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]


class JwtBackend(AuthenticationBackend):
    """Accepts `Authorization: Bearer` with a JWT signed by a key of `key_source`.

    `exp`, `aud`, `iss` and `sub` are required. `tenant_claim` selects the tenant. `email` is used unless
    `email_verified` says otherwise; only true, or "true" as some issuers write it, says that it is verified.
    Scopes come from `scope`, `scopes` or `scp`, as space-separated text or a list.
    Other authentication schemes are ignored. An invalid bearer token raises AuthenticationError, and
    KeysUnavailableError as long as no key could be loaded.
    """

    def __init__(
        self,
        *,
        key_source: KeySource,
        issuer: str,
        audience: str | Sequence[str],
        leeway_seconds: float = 30,
        tenant_claim: str = "tenant_id",
    ) -> None:
        if not issuer or not audience:
            raise ValueError("A JWT backend needs the issuer and the audience that its tokens must name.")
        self._key_source = key_source
        self._issuer = issuer
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._tenant_claim = tenant_claim
        self._verified_tokens = VerifiedTokens()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        token = _bearer_token(conn)
        if token is None:
            return None
        verified = self._verified_tokens.get(token, now=time.time())
        if verified is None:
            verified = await self._verify(token)
            self._verified_tokens.put(token, verified, now=time.time())
        return AuthCredentials(verified.scopes), verified.caller

    async def _verify(self, token: str) -> VerifiedToken:
        if len(token) > MAX_TOKEN_LENGTH:
            raise AuthenticationError(f"The access token is longer than {MAX_TOKEN_LENGTH} characters.")
        if not _COMPACT_JWS.fullmatch(token):
            raise AuthenticationError(_MALFORMED)
        try:
            header = cast("Mapping[str, object]", jwt.get_unverified_header(token))
            key = await self._key_source.key(cast("str | None", header.get("kid")))
            if key is None:
                raise AuthenticationError("The access token names a key that its issuer does not publish.")
            claims: Mapping[str, object] = jwt.decode(
                token,
                key.public_key,
                algorithms=key.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway_seconds,
                options={"require": _REQUIRED_CLAIMS},
            )
            return self._read(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            reason = next((text for kind, text in _REASONS if isinstance(error, kind)), _MALFORMED)
            raise AuthenticationError(reason) from None

    def _read(self, claims: Mapping[str, object]) -> VerifiedToken:
        expires_at = claims["exp"]
        if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
            raise TypeError("exp is a number of seconds (RFC 7519, section 2, NumericDate).")
        email, email_verified = _email(claims)
        return VerifiedToken(
            caller=Caller(
                user_id=identifier(claims["sub"]),
                tenant_id=optional_identifier(claims.get(self._tenant_claim)),
                email=email,
                email_verified=email_verified,
                issuer=self._issuer,
            ),
            scopes=_scopes(claims),
            expires_at=expires_at,
        )


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _bearer_token(conn: HTTPConnection) -> str | None:
    """Return the request's bearer token, or None (RFC 6750, section 2.1)."""
    values: list[bytes] = [value for name, value in conn.scope["headers"] if name == b"authorization"]
    if not values:
        return None
    if len(values) > 1:
        raise AuthenticationError("The request has several Authorization headers. Send one.")
    scheme, _, token = values[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    return token.lstrip(" ")


def _email(claims: Mapping[str, object]) -> tuple[str | None, bool]:
    """Return the address and whether it is verified (OpenID Connect Core, section 5.1).

    Without `email_verified`, the address is not verified. With any value but true, there is no address.
    """
    email = optional_identifier(claims.get("email"))
    if email is None or "email_verified" not in claims:
        return email, False
    # Cognito and Apple write "true" as text.
    verified = claims["email_verified"] is True or claims["email_verified"] == "true"
    return (email, True) if verified else (None, False)


def _scopes(claims: Mapping[str, object]) -> tuple[str, ...]:
    granted: object = next((claims[name] for name in _SCOPE_CLAIMS if claims.get(name) is not None), "")
    if isinstance(granted, str):
        return tuple(granted.split())
    if isinstance(granted, list):
        scopes = cast("list[object]", granted)
        return tuple(identifier(scope) for scope in scopes)
    raise TypeError("Scopes are a text or a list.")
