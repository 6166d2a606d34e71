"""NKeys and JWTs of NATS, made as `nsc` makes them: for users, accounts and an operator."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SEED: Final = 18 << 3
OPERATOR: Final = 14 << 3
ACCOUNT: Final = 0
USER: Final = 20 << 3


def _encoded(content: bytes) -> str:
    checked = content + binascii.crc_hqx(content, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class NKey:
    kind: int
    private: Ed25519PrivateKey

    @classmethod
    def new(cls, kind: int) -> Self:
        return cls(kind, Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _encoded(bytes([self.kind]) + raw)

    @property
    def seed(self) -> str:
        raw = self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return _encoded(bytes([SEED | self.kind >> 5, (self.kind & 31) << 3]) + raw)

    def signed(self, subject: str, name: str, kind: str, **rules: Any) -> str:
        """A JWT about ``subject``, which this key issues."""
        claims: dict[str, Any] = {"sub": subject, "iss": self.public, "name": name, "iat": 1_700_000_000}
        claims["nats"] = {"type": kind, "version": 2, **rules}
        claims["jti"] = (
            base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
        )
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, claims]
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_base64(self.private.sign(text.encode()))}"


def credentials(jwt: str, seed: str) -> str:
    """A ``.creds`` file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\nKeep it secret.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
