"""Proxies of our HTTP clients, and explanations of failed connections.

Proxies are for the internet. Requests to this machine or a private network never use one, whatever the environment
says: most proxies cannot reach these, and keys and signed URLs travel there in plain text. For all other addresses
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY apply, as in other programs. `outbound` uses no proxy at all.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from pipelet.domain.errors import PipeletError

_LOCAL_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa")
"""Names that no server on the internet can have."""
_NAME_MISMATCHES = (62, 64)
"""OpenSSL's codes for a certificate of another name or address."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING")
_ALERT = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""Reasons in OpenSSL's errors."""
_PROBE_TIMEOUT = 3.0


class ProxyUnusable(PipeletError):
    """The environment names an unusable proxy; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Proxy:
    url: str
    variable: str
    """Environment variable that names it."""

    def __str__(self) -> str:
        """Return the URL without its password."""
        parts = urlsplit(self.url)
        return f"proxy {parts.scheme}://{parts.netloc.rpartition('@')[2]} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to `url`; None for a direct connection.

    Raises:
        ProxyUnusable: it is a SOCKS proxy, or not a URL.
    """
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if is_local(host) or proxy_bypass(host) or _is_in_networks(host, proxies.get("no", "")):
        return None
    for name in (parts.scheme, "all"):
        if value := proxies.get(name):
            return _checked(Proxy(value if "://" in value else f"http://{value}", f"{name.upper()}_PROXY"), host)
    return None


def is_local(host: str) -> bool:
    """Return whether a host is on this machine or in a private network, judged by its name or address."""
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_LOCAL_DOMAINS)


def _is_in_networks(host: str, no_proxy: str) -> bool:
    """Return whether NO_PROXY contains a network with this host; the standard library knows names only."""
    with contextlib.suppress(ValueError):
        address = ip_address(host)
        for entry in no_proxy.split(","):
            with contextlib.suppress(ValueError):
                if address in ip_network(entry.strip(), strict=False):
                    return True
    return False


def _checked(proxy: Proxy, host: str) -> Proxy:
    advice = f"Correct {proxy.variable}, or add {host} to NO_PROXY."
    try:
        parts = urlsplit(proxy.url)
        is_url = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ProxyUnusable(f"{proxy.variable} is not a URL such as http://proxy.example.com:3128. {advice}")
    if parts.scheme not in ("http", "https"):
        raise ProxyUnusable(f"The {proxy} is not supported: use an http:// or https:// proxy. {advice}")
    return proxy


def fault_of(error: Exception, url: str, proxy: Proxy | None) -> str | None:
    """Explain a failed connection, if a certificate, the scheme of `url` or the proxy caused it.

    Return None if no server seems to listen at `url`.
    """
    parts = urlsplit(url)
    tls = next((each for each in causes_of(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return _fault_of_certificate(tls, parts.netloc)
    if tls is not None and (tls.reason in _NO_TLS or (tls.reason == _ALERT and _speaks_http(url))):
        return f"{parts.netloc} does not speak TLS. Use http:// instead of https://, or check the port."
    if proxy is not None:
        what = "refuses the connection" if isinstance(error, httpx2.ProxyError) else "was used, and the request failed"
        reason = str(error) or type(error).__name__
        return f"The {proxy} {what}: {reason}. Correct {proxy.variable}, or add {parts.hostname} to NO_PROXY."
    was_closed = isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError)
    return fault_of_scheme(url) if was_closed else None


def fault_of_scheme(url: str) -> str | None:
    """Explain that the server at an `http://` URL speaks TLS, after a probe; None if it does not."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not _speaks_tls(parts.hostname or "", parts.port or 80):
        return None
    return f"{parts.netloc} speaks TLS. Use https:// instead of http://, or check the port."


def _fault_of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    reason = f"The certificate of {host} is not trusted: {error.verify_message.rstrip('.')}."
    if error.verify_code in _NAME_MISMATCHES:
        return f"{reason} Use a name that is in the certificate, or get a certificate for this one."
    return f"{reason} Set SSL_CERT_FILE to the certificate of the authority that signed it."


def _speaks_http(url: str) -> bool:
    """Probe without TLS: a server that knows both tells a TLS client with an alert that it is wrong here."""
    parts = urlsplit(url)
    with (
        contextlib.suppress(OSError),
        socket.create_connection((parts.hostname or "", parts.port or 443), _PROBE_TIMEOUT) as connection,
    ):
        connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        return connection.recv(5) == b"HTTP/"
    return False


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # no data is sent
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), _PROBE_TIMEOUT) as connection,
        context.wrap_socket(connection),
    ):
        return True
    return False


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and what it was raised for, to the root."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
