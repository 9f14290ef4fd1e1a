"""How our HTTP clients reach servers that are configured: by which proxy, and what is at fault where they do not.

Proxies are for the internet. What is on this machine or in a private network is never sent to one, whatever the
environment says: most proxies cannot reach it, and it is where keys and signed URLs go in plain text. For all else
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count, as for other programs; `outbound` uses no proxy at all.
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
"""OpenSSL's codes of a certificate that is for another name or address."""
_PROBE_SECONDS = 3.0


class ProxyUnusable(PipeletError):
    """The environment names a proxy that cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Proxy:
    url: str
    variable: str
    """Where the environment names it."""

    def __str__(self) -> str:
        """Without its password."""
        parts = urlsplit(self.url)
        return f"proxy {parts.scheme}://{parts.netloc.rpartition('@')[2]} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """The proxy by which `url` is to be reached, if any.

    Raises:
        ProxyUnusable: it is a SOCKS proxy, or no URL.
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
    """Whether a host is on this machine or in a private network, as far as its name or address tells."""
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_LOCAL_DOMAINS)


def _is_in_networks(host: str, no_proxy: str) -> bool:
    """NO_PROXY may name networks, too, which the standard library does not know."""
    with contextlib.suppress(ValueError):
        address = ip_address(host)
        for entry in no_proxy.split(","):
            with contextlib.suppress(ValueError):
                if address in ip_network(entry.strip(), strict=False):
                    return True
    return False


def _checked(proxy: Proxy, host: str) -> Proxy:
    way_round = f"Correct {proxy.variable}, or add {host} to NO_PROXY."
    try:
        parts = urlsplit(proxy.url)
        is_url = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ProxyUnusable(f"{proxy.variable} is no URL such as http://proxy.example.com:3128. {way_round}")
    if parts.scheme not in ("http", "https"):
        raise ProxyUnusable(f"The {proxy} cannot be used: only http:// and https:// proxies can. {way_round}")
    return proxy


def fault_of(error: Exception, url: str, proxy: Proxy | None) -> str | None:
    """What is wrong and what to change, where a certificate, the scheme of `url` or the proxy is at fault.

    None: nothing answers at `url`, as far as can be told.
    """
    parts = urlsplit(url)
    tls = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return _fault_of_certificate(tls, parts.netloc)
    if tls is not None and tls.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING"):
        return f"{parts.netloc} does not speak TLS. Write http:// in place of https://, or check the port."
    if proxy is not None:
        what = "refuses the connection" if isinstance(error, httpx2.ProxyError) else "was used, and did not help"
        reason = str(error) or type(error).__name__
        return f"The {proxy} {what}: {reason}. Correct {proxy.variable}, or add {parts.hostname} to NO_PROXY."
    broke_off = isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError)
    return fault_of_scheme(url) if broke_off else None


def fault_of_scheme(url: str) -> str | None:
    """What to change where TLS is spoken at an `http://` URL, which is looked up; None where it is not."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not _speaks_tls(parts.hostname or "", parts.port or 80):
        return None
    return f"{parts.netloc} speaks TLS. Write https:// in place of http://, or check the port."


def _fault_of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    reason = f"The certificate of {host} is not trusted: {error.verify_message.rstrip('.')}."
    if error.verify_code in _NAME_MISMATCHES:
        return f"{reason} Use a name that is in the certificate, or get a certificate for this one."
    return f"{reason} Name the file with the certificate of the authority that signed it: SSL_CERT_FILE."


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), _PROBE_SECONDS) as connection,
        context.wrap_socket(connection),
    ):
        return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
