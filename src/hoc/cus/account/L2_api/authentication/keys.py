"""The public keys that verify tokens, from JWK sets (RFC 7517) and PEM."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self, cast
from urllib.parse import urlsplit

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.authentication import AuthenticationError

_log = logging.getLogger(__name__)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_RSA_MINIMUM_BITS = 2048  # RFC 7518, sections 3.3 and 3.5
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

REFRESH_SECONDS = 300
"""How old a published key set may be before it is fetched again."""
KEY_LIFETIME_SECONDS = 3600
"""How long a published key set is trusted. A withdrawn key is dead by then, whatever its publisher does."""
FETCH_SECONDS = 5
"""The deadline of one fetch."""


class KeysUnavailableError(AuthenticationError):
    """No key set is trusted at the moment, so no token can be verified. Answer 503 with Retry-After, not 401.

    None has been fetched yet, or the last one is too old.
    """

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "The keys that verify access tokens cannot be fetched at the moment. Try again shortly."
        )
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the algorithms that it may verify. The token must not choose them (RFC 8725, 3.1)."""

    public_key: PublicKey
    algorithms: tuple[str, ...]
    kid: str | None = None


class KeySource(Protocol):
    """Finds the key that a token names."""

    async def key(self, kid: str | None) -> VerificationKey | None:
        """Return the key with this `kid`, or None; KeysUnavailableError as long as no keys are trusted.

        It is called for every request with a token, and so ends a token whose key it no longer returns.
        """
        ...


class KeySet:
    """Keys by their `kid`; possibly none."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        keys = tuple(keys)
        self._by_kid = {key.kid: key for key in reversed(keys)}
        # `kid` is optional (RFC 7515, 4.1.4): a set of one key needs none, and a PEM key has none.
        self._only = keys[0] if len(keys) == 1 else None

    def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key with this `kid`. A single key also matches None, and any `kid` if unnamed."""
        if self._only is not None and (kid is None or self._only.kid is None):
            return self._only
        return None if kid is None else self._by_kid.get(kid)


class StaticKeys:
    """Keys that do not change."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        """Raises ValueError when there are no keys."""
        keys = tuple(keys)
        if not keys:
            raise ValueError(
                "There is no usable public signing key. Use RSA (2048 bits), P-256/384/521 or Ed25519/448."
            )
        self._keys = KeySet(keys)

    @classmethod
    def from_jwks(cls, jwks: object) -> Self:
        """Read a decoded JWK set, `{"keys": [...]}`. Keys that cannot verify signatures are left out."""
        return cls(_keys_from_jwks(jwks))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Self:
        """Read one public key in PEM."""
        try:
            public_key = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("This is not a PEM public key (-----BEGIN PUBLIC KEY-----).") from error
        algorithms = _algorithms_of(public_key)
        return cls([VerificationKey(cast("PublicKey", public_key), algorithms)] if algorithms else [])

    def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key with this `kid`, as `KeySet.find` does."""
        return self._keys.find(kid)

    async def key(self, kid: str | None) -> VerificationKey | None:
        return self.find(kid)


@dataclass(frozen=True, slots=True)
class _Published:
    """A fetched key set. Its times are on the monotonic clock."""

    keys: KeySet
    stale_at: float
    expires_at: float


class JwksUrl:
    """The keys published at a URL, fetched when first needed and refreshed in the background.

    A request for a known key does not wait for the network, even if the publisher is away. Requests for an
    unknown `kid` wait for one shared fetch. The next fetch starts `cooldown_seconds` later at the earliest,
    or `retry_seconds` after a failed one, so tokens with invented `kid`s cannot flood the publisher.

    A set is fetched again after `max_age_seconds`. A key that is missing in the new set is rejected at once,
    also if the set is empty. A fetch that fails, is not complete after `timeout_seconds`, or is not a JWK
    set changes nothing; but no set is trusted for longer than `lifetime_seconds` after the start of its
    fetch. It needs the extra `jwks`.
    """

    def __init__(
        self,
        url: str,
        *,
        max_age_seconds: float = REFRESH_SECONDS,
        lifetime_seconds: float = KEY_LIFETIME_SECONDS,
        cooldown_seconds: float = 5.0,
        retry_seconds: float = 1.0,
        timeout_seconds: float = FETCH_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                "The URL of a JWK set must start with https:// (or http:// inside a trusted network)."
            )
        from hoc.cus.account.L2_api.authentication.key_fetching import (  # noqa: PLC0415 - needs the extra
            KeyFetcher,
        )

        self._publisher = parts.hostname
        self._fetcher = KeyFetcher(url)
        self._max_age_seconds = max_age_seconds
        self._lifetime_seconds = lifetime_seconds
        self._cooldown_seconds = cooldown_seconds
        self._retry_seconds = retry_seconds
        self._timeout_seconds = timeout_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hoc-jwks")
        self._published: _Published | None = None
        self._fetch: Future[None] | None = None
        self._next_fetch_at = -math.inf  # on the monotonic clock

    async def key(self, kid: str | None) -> VerificationKey | None:
        """Return the key with this `kid`, or None; KeysUnavailableError as long as no set is trusted."""
        published = self._trusted()
        key = published and published.keys.find(kid)
        if published and key:
            if time.monotonic() >= published.stale_at:
                self._fetch_if_due()
            return key
        fetch = self._fetch_if_due()
        if fetch is not None:
            # A fetch ends by its own deadline, except while the system resolves the publisher's name.
            await asyncio.wait([asyncio.wrap_future(fetch)], timeout=self._timeout_seconds)
        published = self._trusted()
        if published is None:
            raise KeysUnavailableError(retry_after_seconds=math.ceil(self._retry_seconds))
        return published.keys.find(kid)

    def _trusted(self) -> _Published | None:
        """Return the published set, unless it is too old."""
        published = self._published
        return published if published and time.monotonic() < published.expires_at else None

    def _fetch_if_due(self) -> Future[None] | None:
        """Return the running fetch, a new one if one is due, else None."""
        if self._fetch is not None and not self._fetch.done():
            return self._fetch
        if time.monotonic() < self._next_fetch_at:
            return None
        self._fetch = self._thread.submit(self._load)
        return self._fetch

    def _load(self) -> None:
        began = time.monotonic()
        try:
            body = self._fetcher.fetch(timeout_seconds=self._timeout_seconds)
            keys = KeySet(_keys_from_jwks(orjson.loads(body)))
        except (OSError, ValueError) as error:
            self._next_fetch_at = time.monotonic() + self._retry_seconds
            _log.warning("The JWK set of %s could not be fetched: %s", self._publisher, error)
        else:
            self._next_fetch_at = time.monotonic() + self._cooldown_seconds
            self._published = _Published(keys, began + self._max_age_seconds, began + self._lifetime_seconds)


def _keys_from_jwks(jwks: object) -> list[VerificationKey]:
    """Return the usable keys of a decoded JWK set; ValueError when it is none."""
    entries: object = cast("Mapping[str, object]", jwks).get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError('A JWK set is a JSON object with a list of keys: {"keys": [...]}.')  # noqa: TRY004 - it is data
    keys = (_key_from_jwk(entry) for entry in cast("list[object]", entries))
    return [key for key in keys if key is not None]


def _key_from_jwk(entry: object) -> VerificationKey | None:
    """Return the key of a JWK set's entry, or None if it cannot or must not verify signatures."""
    if not isinstance(entry, dict):
        return None
    jwk = cast("dict[str, object]", entry)
    if jwk.get("use", "sig") != "sig":
        return None
    try:
        public_key: object = jwt.PyJWK(jwk).key
    except Exception:  # noqa: BLE001 - one unreadable key must not cost the others
        return None
    algorithms = _algorithms_of(public_key)
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    kid = jwk.get("kid")
    if not algorithms or not isinstance(kid, str | None):
        return None
    return VerificationKey(cast("PublicKey", public_key), algorithms, kid)


def _algorithms_of(public_key: object) -> tuple[str, ...]:
    """Return the algorithms that a key may verify; none for a secret, a private key or a weak one."""
    match public_key:
        case RSAPublicKey() if public_key.key_size >= _RSA_MINIMUM_BITS:
            return _RSA_ALGORITHMS
        case EllipticCurvePublicKey() if public_key.curve.name in _EC_ALGORITHMS:
            return (_EC_ALGORITHMS[public_key.curve.name],)
        case Ed25519PublicKey() | Ed448PublicKey():
            return ("EdDSA",)
        case _:
            return ()
