"""Certificates that sign themselves: for one server, and no authority for others."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=397)
"""The longest that browsers accept."""
_CLOCK_DIFFERENCE = timedelta(hours=1)
"""Clocks of clients may be behind by so much."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, in PEM, and the most important of what it says."""

    pem: str
    names: frozenset[str]
    """Host names and addresses that it is valid for."""
    not_after: datetime

    @classmethod
    def parse(cls, pem: str) -> Self:
        """Read the first certificate of a chain.

        Raises:
            ValueError: there is none.
        """
        parsed = x509.load_pem_x509_certificate(pem.encode())
        try:
            extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names: list[str] = []
        else:
            names = extension.get_values_for_type(x509.DNSName)
            names += map(str, extension.get_values_for_type(x509.IPAddress))
        return cls(pem, frozenset(names), parsed.not_valid_after_utc)


def create_certificate(names: Iterable[str], now: datetime | None = None) -> tuple[str, str]:
    """Return a new certificate for these host names and addresses, and its private key, both in PEM.

    It is valid for 397 days, and cannot sign others.
    """
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pipelet")])
    builder = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_DIFFERENCE)
        .not_valid_after(now - _CLOCK_DIFFERENCE + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def trusted_roots(*, without: Path) -> str:
    """Return the certificates, in PEM, that programs trust here: of SSL_CERT_FILE, of the system, or else Mozilla's.

    Args:
        without: a file that SSL_CERT_FILE may name, but that is no answer.
    """
    named = os.environ.get("SSL_CERT_FILE")
    candidates = [*([Path(named)] if named else []), Path(ssl.get_default_verify_paths().openssl_cafile)]
    found = (file for file in candidates if file.is_file() and file.resolve() != without.resolve())
    return next(found, Path(certifi.where())).read_text("utf-8")


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
