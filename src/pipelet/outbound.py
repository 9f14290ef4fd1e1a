"""HTTP to addresses that users chose: it goes to public ones alone.

A user may name any URL for an image or a webhook, and the service stands where the user does not: next to the
database, the metadata service of the cloud, the printer. So not the name is checked but the address that is connected
to: the name is resolved once, and the connection made to an address that passed. A name that resolves to something
else a moment later changes nothing, nor does another spelling (`0x7f.1`, `2130706433`), which the resolver turns into
an address like any other. Redirects are requests of their own.

Own code, since the libraries that do this (drawbridge, httpx-secure, safehttpx) are for httpx, which rests; safehttpx
asks Google for every name as well.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext

import httpx2

from pipelet import USER_AGENT
from pipelet.concurrency.daemon_threads import DaemonThreadPool, NoFreeThread
from pipelet.domain.errors import AddressNotAllowed, TooManyLookups

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_USER = "pipelet_user"
"""An extension of requests: whose URL it is. Each user has a share of the lookups."""
_LOOKUPS, _LOOKUPS_PER_USER = 128, 8
"""Maximum concurrent lookups, each in a thread. The system may take long to give a name up, and cannot be stopped."""
_RESOLVER_OPTIONS = "timeout:2 attempts:2"
"""For glibc, which by itself asks each name server for twice 5 seconds."""
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""From a host and a port to its addresses, best first. Raises OSError where there are none."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""What resolvers answer on networks without IPv4, for the rest of the world: the address is in the last four bytes."""

_BLOCKED_NETWORKS = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's metadata and control, at an address that looks public
            "192.0.0.0/24",
            "192.88.99.0/24",
            "2001::/23",  # Teredo among them: an IPv4 address may be inside
            "2002::/16",  # 6to4: likewise
            "3fff::/20",
        ),
    )
)
"""Networks in addition to those that Python does not call global; its list grew with its versions."""


def is_public(address: Address) -> bool:
    """Whether any host on the internet reaches the same place under this address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address not in _GLOBAL_UNICAST:
            return False
    return (
        address.is_global and not address.is_multicast and not any(address in network for network in _BLOCKED_NETWORKS)
    )


def is_allowed_address(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether it is public, or in `allowed`."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return is_public(address) or any((mapped or address) in network for network in allowed)


def public_only_client(
    *,
    allowed: Sequence[Network] = (),
    max_redirects: int = 0,
    timeout: float | httpx2.Timeout = 10.0,
    tls: SSLContext | bool = True,
    resolve: Resolve | None = None,
) -> httpx2.AsyncClient:
    """A client that raises AddressNotAllowed where a URL leads to an address that is neither public nor in `allowed`.

    It follows `max_redirects`, each with the same check, keeps no cookies and no connections, and uses no proxy. The
    timeout is for a step (connecting, a read): the whole of a request is the caller's to bound. Requests say whose
    URL it is in `extensions={"pipelet_user": …}`. Close it when done.
    """
    return httpx2.AsyncClient(
        transport=GuardedTransport(
            httpx2.AsyncHTTPTransport(
                verify=tls,
                # Connections are kept by address, and one that was opened for a name must not serve another.
                limits=httpx2.Limits(max_connections=100, max_keepalive_connections=0),
            ),
            allowed=allowed,
            resolve=resolve,
        ),
        timeout=timeout,
        follow_redirects=max_redirects > 0,
        max_redirects=max_redirects,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # one user's would go along with another's request
        headers={"User-Agent": USER_AGENT},
        trust_env=False,
    )


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends by `inner`, to an address in place of the name. TLS and the Host header keep the name."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, *, allowed: Sequence[Network] = (), resolve: Resolve | None = None
    ) -> None:
        self._inner = inner
        self._allowed = tuple(allowed)
        self._resolve = resolve
        # A name server that does not answer holds a thread for long, which no other user and no stop may wait for.
        self._threads = DaemonThreadPool(_LOOKUPS, per_user=_LOOKUPS_PER_USER, name="resolve")
        if resolve is None:
            os.environ.setdefault("RES_OPTIONS", _RESOLVER_OPTIONS)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Raises:
            AddressNotAllowed: no address of the host may be reached.
            TooManyLookups: the name was not looked up, because no thread became free.
            httpx2.ConnectError: it has none, or none takes the connection.
        """
        response = await self._send_to_any(request, await self._reachable(request))
        if not response.has_redirect_location:
            return response
        # httpx reads and unpacks all that comes with a redirect before it follows, and a stranger may send without end.
        await response.aclose()
        return httpx2.Response(response.status_code, headers={"Location": response.headers["Location"]})

    async def _reachable(self, request: httpx2.Request) -> list[Address]:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise AddressNotAllowed(f"URLs must begin with https:// or http://, and not with {url.scheme}:.")
        host = url.raw_host.decode("ascii")
        try:
            addresses = await self._look_up(host, url.port or {"http": 80, "https": 443}[url.scheme], request)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"The name {host} was not resolved in time.", request=request) from error
        except (OSError, ValueError) as error:
            raise httpx2.ConnectError(f"The name {host} cannot be resolved.", request=request) from error
        reachable = [address for address in addresses if is_allowed_address(address, self._allowed)]
        if not reachable:
            # The address stays unsaid: what a name means inside is nothing to tell.
            raise AddressNotAllowed(
                f"{host} is not on the public internet. The operator can allow its network (PIPELET_ALLOWED_NETWORKS)."
            )
        return reachable

    async def _look_up(self, host: str, port: int, request: httpx2.Request) -> Sequence[Address]:
        seconds = request.extensions.get("timeout", {}).get("connect")
        async with asyncio.timeout(seconds):
            if self._resolve is not None:
                return await self._resolve(host, port)
            work = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            user, patience = request.extensions.get(_USER, ""), None if seconds is None else seconds / 2
            try:
                found = await self._threads.run(work, user=user, max_wait_seconds=patience)
            except NoFreeThread as error:
                message = "Too many names of servers are being looked up at this moment. Try again in a few seconds."
                raise TooManyLookups(message) from error
        return [ip_address(place[0]) for *_, place in found]

    async def _send_to_any(self, request: httpx2.Request, addresses: Sequence[Address]) -> httpx2.Response:
        for address in addresses[:-1]:
            try:
                return await self._send(request, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # nothing was sent yet
        return await self._send(request, addresses[-1])

    async def _send(self, request: httpx2.Request, address: Address) -> httpx2.Response:
        return await self._inner.handle_async_request(
            httpx2.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()
