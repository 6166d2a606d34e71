"""Callers from signed access tokens (RFC 6750, RFC 7519, RFC 8725)."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, cast

import jwt
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import claims as read
from hoc.cus.account.L2_api.authentication.caller import Caller
from hoc.cus.account.L2_api.authentication.claims import Claims
from hoc.cus.account.L2_api.authentication.keys import KeySource, VerificationKey

if TYPE_CHECKING:
    from jwt.types import Options

MAX_TOKEN_LENGTH = 8192
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED_CLAIMS = ("exp", "iss", "sub")
_AUDIENCE_CLAIM = "aud"
# RFC 9068, section 2.1, and RFC 7519, section 5.1. Other types are for other purposes (RFC 8725, 3.11), such
# as logout+jwt and dpop+jwt.
_TYPES = frozenset({"at+jwt", "jwt"})

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
    (jwt.InvalidIssuerError, "The access token is from another issuer."),
    (InvalidSubjectError, "The access token's claim sub is malformed."),
    (InvalidJTIError, "The access token's claim jti is malformed."),
)
_MALFORMED = "The access token is malformed."
_DATE_CLAIM = re.compile(r"\((exp|nbf|iat)\) must be")  # in PyJWT's message for one that is not a number
# `aud` is checked with the other claims, because another one may take its place.
_OPTIONS: "Options" = {"require": list(_REQUIRED_CLAIMS), "verify_aud": False}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The content of a valid token. `expires_at` is in seconds since the epoch.

    `kid` is what the token calls its key, and `key` the key that verified it.
    """

    caller: Caller
    scopes: tuple[str, ...]
    expires_at: float
    kid: str | None
    key: VerificationKey


class VerifiedTokens:
    """A bounded cache of verified tokens: a repeated token costs a hash instead of a signature check.

    An entry ends when its token expires, and after `lifetime_seconds` at the latest. Whoever reads one checks
    that its key still counts. Tokens are stored as digests. Times are in seconds since the epoch.
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

    `exp`, `iss`, `sub` and the claim `audience_claim` are required; the latter must have one of the
    audiences. `tenant_claim` selects the tenant; it may be a path (`claims.claim_at`). `email` is used unless
    `email_verified` says otherwise; only true, or "true" as some issuers write it, says that it is verified.
    Scopes come from `scope`, `scopes` or `scp`, as space-separated text or a list. A claim that is null or
    empty text is absent. The header's `typ` must be `at+jwt` or `JWT`, if it exists.

    Other authentication schemes are ignored. An invalid bearer token raises AuthenticationError, and
    KeysUnavailableError as long as no key is trusted.
    """

    def __init__(
        self,
        *,
        key_source: KeySource,
        issuer: str,
        audience: str | Sequence[str],
        audience_claim: str = _AUDIENCE_CLAIM,
        leeway_seconds: float = 30,
        tenant_claim: str = "tenant_id",
    ) -> None:
        if not issuer or not audience:
            raise ValueError("A JWT backend needs the issuer and the audience that its tokens must name.")
        if not audience_claim or not tenant_claim:
            raise ValueError("A JWT backend needs the names of the audience's and the tenant's claim.")
        self._key_source = key_source
        self._issuer = issuer
        self._audience = audience
        self._audience_claim = audience_claim
        self._leeway_seconds = leeway_seconds
        self._tenant_claim = tenant_claim
        self._verified_tokens = VerifiedTokens()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        token = _bearer_token(conn)
        if token is None:
            return None
        verified = self._verified_tokens.get(token, now=time.time())
        if verified is None or await self._key_source.key(verified.kid) != verified.key:
            verified = await self._verify(token)
            self._verified_tokens.put(token, verified, now=time.time())
        return AuthCredentials(verified.scopes), verified.caller

    async def _verify(self, token: str) -> VerifiedToken:
        if len(token) > MAX_TOKEN_LENGTH:
            raise AuthenticationError(f"The access token is longer than {MAX_TOKEN_LENGTH} characters.")
        if not _COMPACT_JWS.fullmatch(token):
            raise AuthenticationError(_MALFORMED)
        try:
            header = cast("dict[str, object]", jwt.get_unverified_header(token))
            _check_type(header)
            kid = cast("str | None", header.get("kid"))
            key = await self._key_source.key(kid)
            if key is None:
                raise AuthenticationError("The access token names a key that its issuer does not publish.")
            claims: Claims = jwt.decode(
                token,
                key.public_key,
                algorithms=key.algorithms,
                issuer=self._issuer,
                leeway=self._leeway_seconds,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise AuthenticationError(_reason(error)) from None
        return self._read(claims, kid, key)

    def _read(self, claims: Claims, kid: str | None, key: VerificationKey) -> VerifiedToken:
        read.refuse_logout_token(claims)
        read.check_audience(claims, self._audience_claim, self._audience)
        email, email_verified = read.email(claims)
        return VerifiedToken(
            caller=Caller(
                user_id=read.user_id(claims),
                tenant_id=read.tenant_id(claims, self._tenant_claim),
                email=email,
                email_verified=email_verified,
                issuer=self._issuer,
            ),
            scopes=read.scopes(claims),
            expires_at=read.expiry(claims),
            kid=kid,
            key=key,
        )


def _check_type(header: dict[str, object]) -> None:
    """Raise AuthenticationError unless the header's `typ` is that of an access token, or missing."""
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise AuthenticationError(
            "The access token's type (typ) must be at+jwt or JWT. Send an access token."
        )


def _reason(error: Exception) -> str:
    """Return what is wrong, for the caller; it contains no value."""
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The access token lacks the claim {error.claim}."
    if (date := _DATE_CLAIM.search(str(error))) is not None:
        return f"The access token's claim {date[1]} is malformed. It must be a number of seconds."
    return next((text for kind, text in _REASONS if isinstance(error, kind)), _MALFORMED)


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
