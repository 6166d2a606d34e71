"""How hoc connects to NATS: servers, login, keys and TLS, checked before the first connection."""

import base64
import binascii
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hoc.nats_url import NatsUrl

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END")
_SEED: Final = re.compile(r"\bSU[A-Z2-7]{56}\b")
_USER: Final = 20 << 3  # the first byte of a user's public key
_SEED_LENGTH: Final = 36  # two bytes of kind, the seed, two of its checksum


@dataclass(frozen=True, slots=True)
class UserKey:
    """An NKey of a user, and the JWT for it if the user's account wants one."""

    seed: bytes = field(repr=False)
    jwt: str | None

    @classmethod
    def read(cls, file: Path) -> "UserKey":
        """Read a ``.creds`` file, or one with a seed alone. Raises ValueError, which does not quote it."""
        try:
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as problem:
            raise ValueError(f"{file} cannot be read ({type(problem).__name__})") from None
        found = _SEED.search(text)
        seed = base64.b32decode(f"{found[0]}======") if found else b""
        if len(seed) != _SEED_LENGTH or not _has_checksum(seed):
            raise ValueError(f"{file} contains no seed of a user's NKey, which begins with SU")
        jwt = _JWT.search(text)
        return cls(seed[2:-2], None if jwt is None else jwt[1])

    def answer(self, nonce: str) -> dict[str, str]:
        """The options of CONNECT with which the user proves to have the key."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        signature = base64.urlsafe_b64encode(key.sign(nonce.encode())).decode().rstrip("=")
        if self.jwt is not None:
            return {"sig": signature, "jwt": self.jwt}
        public = bytes([_USER]) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"sig": signature, "nkey": base64.b32encode(public + _checksum(public)).decode().rstrip("=")}


def _checksum(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(2, "little")


def _has_checksum(content: bytes) -> bool:
    return _checksum(content[:-2]) == content[-2:]


@dataclass(frozen=True, slots=True)
class NatsAccess:
    """Where NATS is, and how it knows hoc. The files are read for each connection, since keys rotate.

    Args:
        credentials_file: a ``.creds`` file, or one with the seed of an NKey.
        ca_file: certificates of the authorities that sign the servers', in place of the system's.
        certificate_file: hoc's own certificate, for servers that want one; ``key_file`` is its key.
    """

    url: str
    credentials_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def check(self) -> None:
        """Raise ValueError, which names the setting: a file cannot be read, or is none of its kind."""
        checks = (
            ("HOC_NATS_URL", self.options),
            ("HOC_NATS_CREDENTIALS_FILE", self.key),
            ("HOC_NATS_CA_FILE, HOC_NATS_CERTIFICATE_FILE or HOC_NATS_KEY_FILE", self.tls),
        )
        for name, check in checks:
            try:
                check()
            except (OSError, ValueError) as problem:
                raise ValueError(f"{name}: {problem}") from None
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("HOC_NATS_KEY_FILE is set, but HOC_NATS_CERTIFICATE_FILE is not")

    def key(self) -> UserKey | None:
        return None if self.credentials_file is None else UserKey.read(self.credentials_file)

    def tls(self) -> ssl.SSLContext | None:
        """None without a file: nats-py then trusts the system's authorities."""
        if self.ca_file is None and self.certificate_file is None:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context

    def options(self) -> dict[str, Any]:
        """The options of nats-py's ``connect``, but for the key and TLS."""
        url = NatsUrl.parse(self.url)
        if url.user is None:
            return {"servers": [*url.servers]}
        if url.password is None:
            return {"servers": [*url.servers], "token": url.user}
        return {"servers": [*url.servers], "user": url.user, "password": url.password}
