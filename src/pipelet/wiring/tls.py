"""The certificate of `pipelet serve --tls`: the operator's, or one that we make and renew in the data directory."""

import contextlib
import fcntl
import os
import secrets
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import structlog

from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings
from pipelet.settings.addresses import host_names
from pipelet.settings.tls import TlsFiles
from pipelet.system.certificates import Certificate, create_certificate, trusted_roots
from pipelet.system.permissions import Permissions
from pipelet.wiring.data_dir import permissions_of

log = structlog.get_logger()

_RENEW_BEFORE = timedelta(days=30)


class ServerCertificate:
    """Certificate and key of the service, on disk and in the context that its connections use.

    Raises:
        OperationalError: they cannot be read, written or used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded = ""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._refresh()

    async def refresh(self) -> None:
        """Renew a certificate of our own in its last 30 days. Use one that was replaced, for new connections.

        Raises:
            OperationalError: as at the start. The certificate that was loaded before remains in use.
        """
        self._refresh()

    def _refresh(self) -> None:
        if not self._settings.tls_files.is_own:
            self._load()
            return
        with _locked(self._settings):  # or another process may replace one file of two that are read
            ensure_certificate(self._settings, datetime.now(UTC))
            self._load()

    def _load(self) -> None:
        files = self._settings.tls_files
        pem = read_certificate(files).pem
        if pem == self._loaded:
            return
        try:
            _load_pair(self.context, files)
        except (OSError, ValueError) as error:
            raise OperationalError(
                f"The certificate {files.certificate} cannot be used with the key {files.key}: {error}. Fix "
                "PIPELET_TLS_CERT and PIPELET_TLS_KEY: PEM files that belong together, the key without a password."
            ) from error
        if self._loaded:
            log.info("tls.certificate_changed", file=str(files.certificate))
        self._loaded = pem


def ensure_certificate(settings: Settings, now: datetime) -> None:
    """Make certificate, key and bundle, unless there is a certificate for all names with 30 days to live.

    Where other processes may do the same, the caller holds the lock.

    Raises:
        OperationalError: writing them failed.
    """
    files, names = settings.tls_files, _names(settings)
    if _is_good(files, names, now):
        return
    pem, key = create_certificate(names, now)
    try:
        permissions = permissions_of(settings)
        permissions.make_folder(files.certificate.parent)
        # A stop in between leaves no certificate, and the next start begins again.
        files.certificate.unlink(missing_ok=True)
        _write(files.key, key, permissions)
        _write(files.ca_bundle, f"{trusted_roots(without=files.ca_bundle)}\n{pem}", permissions)
        _write(files.certificate, pem, permissions)
    except OSError as error:
        raise _not_writable(files, error) from error
    log.info("tls.certificate_made", file=str(files.certificate), names=sorted(names))


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Keep other processes with this data directory from making a certificate at the same time: the key of one would
    not fit the certificate of the other.

    Raises:
        OperationalError: the folder cannot be written.
    """
    files, permissions = settings.tls_files, permissions_of(settings)
    folder = files.certificate.parent
    with contextlib.ExitStack() as held:  # closing the file releases the lock, as does the end of the process
        try:
            permissions.make_folder(folder)
            lock = held.enter_context(open(folder / ".lock", "a", opener=permissions.opener))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise _not_writable(files, error) from error
        yield


def _not_writable(files: TlsFiles, error: OSError) -> OperationalError:
    return OperationalError(
        f"Writing the certificate in {files.certificate.parent} failed: {error.strerror}. Make it writable, or "
        "give a certificate with PIPELET_TLS_CERT and PIPELET_TLS_KEY."
    )


def _load_pair(context: ssl.SSLContext, files: TlsFiles) -> None:
    """
    Raises:
        OSError, ValueError: a file cannot be read, or they do not belong together.
    """
    context.load_cert_chain(files.certificate, files.key, password=_refuse_password)


def read_certificate(files: TlsFiles) -> Certificate:
    """
    Raises:
        OperationalError: the file is missing, or holds no certificate.
    """
    try:
        return Certificate.parse(files.certificate.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OperationalError(
            f"Reading the certificate {files.certificate} failed: {error}. Give a PEM file: PIPELET_TLS_CERT."
        ) from error


def _is_good(files: TlsFiles, names: frozenset[str], now: datetime) -> bool:
    try:
        known = read_certificate(files)
        _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
        if known.pem not in files.ca_bundle.read_text("utf-8"):
            return False
    except (OperationalError, OSError, ValueError):
        return False
    return known.names >= names and known.not_after - now > _RENEW_BEFORE


def _names(settings: Settings) -> frozenset[str]:
    """Names under which clients may reach this machine."""
    names = {"localhost", "127.0.0.1", "::1", *host_names(settings.tls_name)}
    if (host := _plain(settings.host)) not in ("0.0.0.0", "::"):  # noqa: S104 - clients cannot connect to these
        names.add(host)
    if (own := socket.gethostname()).isascii():
        names.add(own)
    return frozenset(names)


def _plain(host: str) -> str:
    """A host as certificates name it: an address in its shortest form, without the zone."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return host


def _write(path: Path, text: str, permissions: Permissions) -> None:
    """Replace a file, at once."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with open(draft, "x", opener=permissions.opener) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _refuse_password() -> str:
    """OpenSSL would ask for it on the terminal."""
    raise ValueError("the key has a password")
