"""Requests to addresses that users chose: real servers on this machine, and names that resolve as the test says."""

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.errors import AddressNotAllowed, TooManyLookups
from pipelet.outbound import Address, is_public, public_only_client
from tests.support.servers.tcp import tls_context
from tests.support.servers.web import Response, WebServer, head, whole, without_end
from tests.support.service import environment

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_the_internet_is_public(text: str) -> None:
    """Also where IPv6 carries an address of IPv4."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("0.1.2.3", "10.0.0.1", "127.0.0.1", "127.255.255.254", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
        *("::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1"),
        *("2001:db8::1", "3fff::1", "100::1", "0::2", "5f00::1", "4000::1", "64:ff9b:1::1.1.1.1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1"),
        *("2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ],
)
def test_what_only_we_could_reach_is_not_public(text: str) -> None:
    """Private, loopback, shared, reserved, multicast, documentation, metadata of clouds; one inside the other."""
    assert not is_public(ip_address(text))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_ipv4_inside_ipv6_is_never_more_public(address: IPv4Address) -> None:
    """Whatever form it is wrapped in."""
    low = int(address)
    wrapped = (0xFFFF << 32 | low, 0x64FF9B << 96 | low, low, 0x2002 << 112 | low << 80)

    assert is_public(address) or not any(is_public(IPv6Address(number)) for number in wrapped)


OK = whole(b"hi", Set_Cookie="a=b; Path=/")


def redirect(url: str) -> Response:
    return whole(b"", "302 Found", Location=url)


def responding(*responses: Response, tls: ssl.SSLContext | None = None) -> WebServer:
    """It gives each request the next of `responses`, and all that come later the last."""
    left = list(responses)
    return WebServer(lambda _: left.pop(0) if len(left) > 1 else left[0], tls=tls)


class Names:
    """A resolver whose responses change: `each[host]` holds what it says the first time, the second time, …"""

    def __init__(self, **each: Sequence[str]) -> None:
        self.each = {host: list(texts) for host, texts in each.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        texts = self.each[host.replace(".", "_")]
        return [ip_address(text) for text in (texts.pop(0) if len(texts) > 1 else texts[0]).split()]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
        ),
        *("[::ffff:7f00:1]", "user:pass@127.0.0.1", "1.1.1.1@127.0.0.1", "LOCALHOST", "127.0.0.1.", "①②⑦.0.0.1"),
    ],
)
async def test_this_machine_is_not_reached_however_it_is_spelt(host: str) -> None:
    """No connection is made, whether the URL is refused or names nothing at all."""
    async with responding(OK) as server, public_only_client() as client:
        with pytest.raises((AddressNotAllowed, httpx2.ConnectError, httpx2.InvalidURL)):
            await client.get(f"http://{host}:{server.port}/")

    assert [] == server.requests


async def test_an_allowed_network_is_reached() -> None:
    """As a laptop wants it; a name whose other addresses are not allowed is reached by the one that is."""
    names = Names(mixed_test=["10.0.0.1 127.0.0.1"])
    async with responding(OK) as server, public_only_client(allowed=LOOPBACK, resolve=names) as client:
        response = await client.get(f"http://mixed.test:{server.port}/a?b=c")

    assert b"hi" == response.content
    [request] = server.requests
    assert ("GET", "/a?b=c") == (request.method, request.target)
    assert f"mixed.test:{server.port}" == request.headers["host"]


async def test_a_name_is_resolved_once_and_its_address_is_what_is_connected_to() -> None:
    """A name server with a harmless address for the check and ours for the connection is not asked a second time."""
    names = Names(rebinding_test=["192.0.2.1", "127.0.0.1"])
    async with (
        responding(OK) as server,
        public_only_client(allowed=[ip_network("192.0.2.0/24")], resolve=names, timeout=0.2) as client,
    ):
        with pytest.raises((httpx2.ConnectError, httpx2.ConnectTimeout)):  # no host is at 192.0.2.1
            await client.get(f"http://rebinding.test:{server.port}/")
        with pytest.raises(AddressNotAllowed):
            await client.get(f"http://rebinding.test:{server.port}/")

    assert ["rebinding.test"] * 2 == names.asked
    assert [] == server.requests


async def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    """Nothing was sent to the first, so a body goes out once."""
    names = Names(two_test=["127.0.0.2 127.0.0.1"])
    async with responding(OK) as server, public_only_client(allowed=LOOPBACK, resolve=names) as client:
        response = await client.post(f"http://two.test:{server.port}/", content=b"")

    assert 200 == response.status_code
    assert 1 == len(server.requests)


async def test_redirects_are_checked_like_the_first_request() -> None:
    """A public place that points at this machine leads nowhere; a file or a stranger protocol is no place at all."""
    names = Names(public_test=["127.0.0.1"], inside_test=["127.0.0.9"], loopback_test=["::1"])
    just_one = (ip_network("127.0.0.1/32"),)
    for target in ("http://inside.test/", "http://loopback.test/", "file:///etc/passwd", "gopher://inside.test/"):
        guarded = public_only_client(allowed=just_one, max_redirects=3, resolve=names)
        async with responding(redirect(target), OK) as server, guarded as client:
            with pytest.raises(AddressNotAllowed):
                await client.get(f"http://public.test:{server.port}/")
        assert 1 == len(server.requests)


async def test_what_comes_with_a_redirect_is_not_read() -> None:
    """A body without end, packed or not, holds up no one and fills no memory: the redirect is followed at once."""
    to_image = head("302 Found", Location="/image", Content_Encoding="gzip")
    bomb = without_end(to_image, gzip.compress(bytes(1 << 20)) * 64)
    guarded = public_only_client(allowed=LOOPBACK, max_redirects=3)
    async with responding(bomb, OK) as server, asyncio.timeout(10), guarded as client:
        found = await client.get(f"{server.url}/bomb")
        await server.idle.wait()

    assert "hi" == found.text
    assert ["/bomb", "/image"] == [request.target for request in server.requests]


async def test_redirects_end() -> None:
    """After as many as were agreed on; where none was, the redirect itself is the response."""
    async with responding(redirect("/again")) as server:
        async with public_only_client(allowed=LOOPBACK, max_redirects=3) as client:
            with pytest.raises(httpx2.TooManyRedirects):
                await client.get(server.url)
        assert 4 == len(server.requests)
        async with public_only_client(allowed=LOOPBACK) as client:
            assert 302 == (await client.get(server.url)).status_code


async def test_tls_is_with_the_name_and_for_it_alone(tmp_path: Path) -> None:
    """The certificate must fit the name in the URL, also right after another name was served at the same address."""
    context = tls_context(tmp_path / "authority.pem", "named.test")
    trusting = ssl.create_default_context(cafile=tmp_path / "authority.pem")
    names = Names(named_test=["127.0.0.1"], other_test=["127.0.0.1"])
    guarded = public_only_client(allowed=LOOPBACK, resolve=names, tls=trusting)
    async with responding(OK, tls=context) as server, guarded as client:
        assert b"hi" == (await client.get(f"https://named.test:{server.port}/")).content
        with pytest.raises(httpx2.ConnectError, match=r"other\.test"):
            await client.get(f"https://other.test:{server.port}/")


async def test_no_proxy_and_no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment would connect where we do not; a cookie would tell one request about another."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with responding(OK) as server, public_only_client(allowed=LOOPBACK) as client:
        await client.get(server.url)
        await client.get(server.url)

    assert 2 == len(server.requests)
    assert "cookie" not in server.requests[1].headers
    assert server.requests[1].headers["user-agent"].startswith("Pipelet/")


async def test_a_name_that_is_never_resolved_costs_the_time_to_connect() -> None:
    """A name server that hangs is a connection that was not made in time."""

    async def hang(host: str, port: int) -> Sequence[Address]:
        return await asyncio.get_running_loop().create_future()

    async with public_only_client(resolve=hang, timeout=0.05) as client:
        with pytest.raises(httpx2.ConnectTimeout, match=r"slow\.test"):
            await client.get("http://slow.test/")


async def test_names_that_hang_hold_up_their_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are served at once; what was not looked up for want of a thread says that it may work later."""
    end, ask = threading.Event(), socket.getaddrinfo

    def hang(host: str, *arguments: object, **options: object) -> object:
        return end.wait(20) if host.startswith("slow") else ask("127.0.0.1", *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        async with responding(OK) as server, public_only_client(allowed=LOOPBACK, timeout=0.2) as client:

            def get(host: str, user: str) -> asyncio.Task[httpx2.Response]:
                url = f"http://{host}:{server.port}/"
                return asyncio.create_task(client.get(url, extensions={"pipelet_user": user}))

            eves = [get(f"slow{k}.test", "eve") for k in range(20)]
            assert 200 == (await get("quick.test", "bob")).status_code
            ended = await asyncio.gather(*eves, get("quick.test", "eve"), return_exceptions=True)
            assert 200 == (await get("quick.test", "bob")).status_code
    finally:
        end.set()

    assert {httpx2.ConnectTimeout, TooManyLookups} == {type(error) for error in ended}
    assert isinstance(ended[-1], TooManyLookups)


_LOOKING_UP = """
import asyncio, contextlib
import httpx2
from pipelet.outbound import public_only_client

async def main():
    async with public_only_client(timeout=0.5) as client:
        with contextlib.suppress(httpx2.ConnectTimeout):
            await client.get("http://slow.example/")
    print("no caller waits any more")

asyncio.run(main())
"""
_WITH_NAME_SERVER = 'mount --bind "$1" /etc/resolv.conf && exec "$2" -c "$3"'


def test_a_process_ends_though_a_name_server_is_silent(tmp_path: Path) -> None:
    """The system asks it for minutes, and cannot be told to stop."""
    configuration = tmp_path / "resolv.conf"
    configuration.write_text("nameserver 127.0.53.1\noptions timeout:30 attempts:5\n")
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.53.1", 53))
        silent.settimeout(0)
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            _WITH_NAME_SERVER,
            "sh",
            str(configuration),
            sys.executable,
            _LOOKING_UP,
        ]
        ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=20, check=False)

        assert (0, "no caller waits any more\n", "") == (ended.returncode, ended.stdout, ended.stderr)
        assert b"slow" in silent.recv(512)
