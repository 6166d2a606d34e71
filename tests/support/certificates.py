"""A certificate authority of the tests, and the certificates that it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs for a day. ``root`` is its certificate's file."""

    root: Path
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, root: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder("hoc's tests", "hoc's tests", key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        root.write_bytes(_pem(certificate.sign(key, hashes.SHA256())))
        root.chmod(0o644)
        return cls(root, key)

    def certify(self, name: str, certificate: Path, key_file: Path) -> None:
        """Write a certificate for a user or a server of this name, and its key for its owner only."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _builder(name, "hoc's tests", key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate.write_bytes(_pem(signed))
        certificate.chmod(0o644)
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
