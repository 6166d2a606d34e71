"""The tokens of development mode, in which a server on loopback signs its own."""

import os
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hoc.cus.account.L2_api.authentication.caller import identifier, optional_identifier
from hoc.cus.account.L2_api.authentication.jwt import JwtBackend
from hoc.cus.account.L2_api.authentication.keys import StaticKeys, VerificationKey

ISSUER = "hoc-development"
AUDIENCE = "hoc"
_ALGORITHM = "ES256"  # verifies faster than Ed25519 in OpenSSL


class DevelopmentKeys:
    """A key pair in a file that only its owner may read. Processes that start together share one."""

    def __init__(self, path: Path) -> None:
        """Load or create the private key; ValueError when the file is damaged or other users can read it."""
        if not path.exists():
            _create(path)
        self._private_key = _load(path)

    def issue(
        self,
        user_id: str,
        tenant_id: str | None = None,
        email: str | None = None,
        scopes: Iterable[str] = (),
        *,
        email_verified: bool = False,
        lifetime: timedelta = timedelta(hours=12),
    ) -> str:
        """Return a signed token for `user_id`; ValueError for an invalid identifier."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": identifier(user_id),
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
            "tenant_id": optional_identifier(tenant_id),
            "email": optional_identifier(email),
            "email_verified": email_verified or None,
            "scope": " ".join(scopes) or None,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(present, self._private_key, algorithm=_ALGORITHM)

    def backend(self) -> JwtBackend:
        """Return a backend that accepts the tokens of `issue`."""
        key = VerificationKey(self._private_key.public_key(), (_ALGORITHM,))
        return JwtBackend(key_source=StaticKeys([key]), issuer=ISSUER, audience=AUDIENCE)


def _create(path: Path) -> None:
    """Write a new key atomically. If another process created one meanwhile, that one stays."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # unlike a rename, a link fails if the name is taken
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ValueError(
            f"Other users can read the development key {path}. Run `chmod 600` on it, or delete it."
        )
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The development key {path} is damaged. Delete it; the next start creates a new one."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError(
            f"The development key {path} is not a P-256 key. Delete it; the next start creates a new one."
        )
    return key
