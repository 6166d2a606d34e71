"""The tokens of development mode, which count on loopback only."""

import hmac
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
from hoc.cus.account.L2_api.authentication.loopback import LoopbackOnly

ISSUER = "hoc-development"
AUDIENCE = "hoc"
_ALGORITHM = "ES256"  # verifies faster than Ed25519 in OpenSSL


class DevelopmentKeys:
    """A key pair in a file that is only this user's. Processes that start together share one."""

    def __init__(self, path: Path) -> None:
        """Load or create the private key.

        ValueError when the file cannot be used: it is damaged, belongs to another user, or others can read
        or write it. The message says what to do.
        """
        try:
            if not path.exists():
                _create(path)
            pem = _read(path)
        except OSError as error:
            raise ValueError(
                f"The development key {path} cannot be used ({error.strerror})."
                " Choose another data directory (HOC_DATA_DIR)."
            ) from error
        self._private_key = _load(path, pem)

    def issue(
        self,
        user_id: str,
        tenant_id: str | None = None,
        email: str | None = None,
        scopes: Iterable[str] = (),
        *,
        email_verified: bool = False,
        lifetime: timedelta = timedelta(hours=12),
        audience: str = AUDIENCE,
    ) -> str:
        """Return a signed token for `user_id`; ValueError for an invalid identifier."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": audience,
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

    def secret(self, purpose: str) -> str:
        """Return a secret that is always the same for a purpose, and not to be told without the key."""
        number = self._private_key.private_numbers().private_value
        return hmac.new(number.to_bytes(32, "big"), purpose.encode(), "sha256").hexdigest()

    def backend(self, *, audience: str = AUDIENCE) -> LoopbackOnly:
        """Return a backend that accepts the tokens of `issue`, on loopback only."""
        key = VerificationKey(self._private_key.public_key(), (_ALGORITHM,))
        return LoopbackOnly(JwtBackend(key_source=StaticKeys([key]), issuer=ISSUER, audience=audience))


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


def _read(path: Path) -> bytes:
    """Return the file's content; ValueError unless it belongs to this user and to nobody else."""
    with path.open("rb") as file:
        if os.name == "posix":
            # Of the opened file, because the path may lead to another one by now.
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid():
                raise ValueError(
                    f"The development key {path} belongs to another user, who can sign tokens with it."
                    " Delete it, or choose another data directory (HOC_DATA_DIR)."
                )
            if status.st_mode & 0o077:
                raise ValueError(
                    f"Other users can read or write the development key {path}."
                    " Run `chmod 600` on it, or delete it."
                )
        return file.read()


def _load(path: Path, pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The development key {path} is damaged. Delete it; the next start creates a new one."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError(
            f"The development key {path} is not a P-256 key. Delete it; the next start creates a new one."
        )
    return key
