"""The check of the proxies in front of the service."""

import os

from pipelet.cli.doctor.findings import Finding, ok, warn
from pipelet.http_server.trusted_proxies import TrustedProxies
from pipelet.settings import Settings
from pipelet.settings.addresses import networks

_SENT = (
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"proxy.example"),
)
_IGNORED = "FORWARDED_ALLOW_IPS"


def forwarded_headers(chosen: Settings) -> Finding:
    """Report how the service would read a request that a proxy forwards."""
    from pipelet.wiring.api import base_url_of  # imports FastAPI, which the other checks do without

    trusted = networks(chosen.trusted_proxies)
    if _IGNORED in os.environ:
        return warn(f"{_IGNORED} is set, and Pipelet does not read it", "Set PIPELET_TRUSTED_PROXIES instead.")
    if not trusted:
        return ok("X-Forwarded-* headers are trusted from no address: the client is the address that connects")
    if any(network.prefixlen == 0 for network in trusted):
        return warn(
            "X-Forwarded-* headers are trusted from every address, so any client can claim any address",
            "Set PIPELET_TRUSTED_PROXIES to the addresses of your proxies only.",
        )
    proxy = trusted[0][min(1, trusted[0].num_addresses - 1)]
    found = TrustedProxies(trusted).read(_SENT)
    scope = {"scheme": found.scheme, "headers": [(b"host", found.host)]}
    sent = ", ".join(f"{name.decode()}: {value.decode()}" for name, value in _SENT)
    return ok(
        f"X-Forwarded-* headers are trusted from {chosen.trusted_proxies}. A request from {proxy} with {sent} "
        f"counts as one of {found.client}; the URLs in the response begin with "
        f"{base_url_of(chosen, scope)}"
    )
