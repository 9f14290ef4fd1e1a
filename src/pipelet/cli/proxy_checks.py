"""What `pipelet doctor` says of the proxies in front of the service."""

import os

from pipelet.api.addresses import base_url
from pipelet.cli.findings import Finding, ok, warn
from pipelet.domain.addresses import networks
from pipelet.http_server.trusted_proxies import TrustedProxies
from pipelet.settings import Settings

_SENT = (
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"proxy.example"),
)
_IGNORED = "FORWARDED_ALLOW_IPS"


def forwarded_headers(chosen: Settings) -> Finding:
    """What the service would make of a request that a proxy passes on."""
    trusted = networks(chosen.trusted_proxies)
    if _IGNORED in os.environ:
        return warn(f"{_IGNORED} is set, and Pipelet does not read it", "Set PIPELET_TRUSTED_PROXIES in its place.")
    if not trusted:
        return ok("X-Forwarded-* headers are believed from no address: each request is from where it connects from")
    if any(network.prefixlen == 0 for network in trusted):
        return warn(
            "X-Forwarded-* headers are believed from every address, so that any client can claim any other",
            "Name the addresses of your proxies alone: PIPELET_TRUSTED_PROXIES.",
        )
    proxy = trusted[0][min(1, trusted[0].num_addresses - 1)]
    found = TrustedProxies(trusted).read(_SENT)
    scope = {"scheme": found.scheme, "headers": [(b"host", found.host)]}
    sent = ", ".join(f"{name.decode()}: {value.decode()}" for name, value in _SENT)
    return ok(
        f"X-Forwarded-* headers are believed from {chosen.trusted_proxies}. A request from {proxy} with {sent} "
        f"counts as one of {found.client}; the URLs in its answer begin with "
        f"{base_url(chosen.public_url or None, scope)}"
    )
