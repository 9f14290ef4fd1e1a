"""Which proxy is used for what, and what is said where a proxy, a certificate or a scheme is at fault."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelet import settings
from pipelet.blobs.s3 import S3BlobStore
from pipelet.cli import UNAVAILABLE, _exit_code
from pipelet.client import Client
from pipelet.client_types import Result, ResultFile, ServiceUnavailable, Unreachable
from pipelet.domain.errors import BlobStoreError
from pipelet.http_server.tls import ALERT, is_client_hello
from pipelet.proxies import ProxyUnusable, proxy_for
from pipelet.wiring.api import open_http_clients
from tests.support.servers.tcp import in_background, listening, tls_context
from tests.support.servers.web import WebServer, whole

HEALTHY = whole(b'{"status": "ready", "version": "1", "checks": {}, "workers": [], "notes": []}')
PROXY = "http://user:SECRET@proxy.example.com:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A proxy in every variable, at a port where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        yield url


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.9.1", "[::1]", "localhost", "LOCALHOST", "a.localhost", "10.0.0.7", "192.168.1.2"),
        *("172.20.0.3", "100.100.1.1", "169.254.169.254", "[fd00::1]", "[fe80::1%25eth0]", "minio", "gpu.local"),
        "s3.corp.internal",
    ],
)
def test_what_is_not_on_the_internet_is_never_sent_to_a_proxy(host: str, dead: str) -> None:
    """This machine, private networks, and names that no server on the internet can have."""
    assert proxy_for(f"http://{host}:8000/x") is None


def test_the_internet_is_reached_by_the_proxy_of_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """ALL_PROXY is for those without one of their own; passwords are not shown."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("ALL_PROXY", "proxy.example.com:1")
    https, http = proxy_for("https://api.example.com"), proxy_for("http://1.1.1.1:8000")

    assert https is not None
    assert http is not None
    assert (PROXY, "http://proxy.example.com:1") == (https.url, http.url)
    assert "proxy http://proxy.example.com:3128 (HTTPS_PROXY)" == str(https)


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("*", ["api.example.com", "1.1.1.1", "[2606:4700::1111]", "other.example.org"]),
        ("example.com", ["api.example.com"]),
        (".example.com, 1.1.1.1", ["api.example.com", "1.1.1.1"]),
        ("x, 1.1.0.0/16 ,2606:4700::/32,[::1]", ["1.1.1.1", "[2606:4700::1111]"]),
    ],
)
def test_no_proxy_holds(monkeypatch: pytest.MonkeyPatch, no_proxy: str, direct: list[str]) -> None:
    """Names, endings of names, addresses and networks; what cannot be read is passed over."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    hosts = ("api.example.com", "1.1.1.1", "[2606:4700::1111]", "other.example.org")

    assert direct == [host for host in hosts if proxy_for(f"https://{host}/x") is None]


@pytest.mark.parametrize("value", ["socks5://user:SECRET@127.0.0.1:9", "http://", "http://x:y", "ftp://x"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """With its variable and with the way round it; without its password."""
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ProxyUnusable, match=r"ALL_PROXY.*add api\.example\.com to NO_PROXY") as refusal:
        proxy_for("https://api.example.com/x")

    assert "SECRET" not in str(refusal.value)


def test_a_service_on_this_machine_is_called_without_a_proxy(monkeypatch: pytest.MonkeyPatch, dead: str) -> None:
    """Whatever the variables name, also what could not be used. The client says who it is."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with in_background(WebServer(lambda _: HEALTHY)) as server, Client(server.url, "pk_x") as client:
        assert client.health().is_ready

    assert server.requests[0].headers["user-agent"].startswith("pipelet-client/")


def test_a_proxy_at_fault_is_named_in_place_of_the_service(monkeypatch: pytest.MonkeyPatch, dead: str) -> None:
    """One that does not respond, one that refuses, one that responds itself, one that cannot be used."""
    pages = {"CONNECT": whole(b"<h1>No</h1>", "403 Forbidden"), "GET": whole(b"<h1>No way</h1>", "200 OK")}
    with in_background(WebServer(lambda request: pages[request.method])) as filtering:
        for proxy, url, why in (
            (dead, "http://api.example.com", "add api.example.com to NO_PROXY"),
            (filtering.url, "https://api.example.com", "refuses the connection: 403"),
            (filtering.url, "http://api.example.com", "not a Pipelet"),
            ("socks5://127.0.0.1:9", "http://api.example.com", "an http:// or https:// proxy"),
        ):
            for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(variable, proxy)
            message = _refusal(url)
            assert f"proxy {proxy} (HTTP" in message
            assert why in message


def test_only_what_does_not_respond_is_to_be_started(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line's advice would mislead where the service runs."""
    errors = (ServiceUnavailable("A proxy."), Unreachable("Nothing."))
    assert [UNAVAILABLE, UNAVAILABLE] == [_exit_code(error) for error in errors]
    assert 1 == capsys.readouterr().err.count("pipelet serve")


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def _knows_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As this service does at its port for plain HTTP."""
    first = await reader.read(1)
    writer.write(ALERT if is_client_hello(first) else b"HTTP/1.1 200 OK\r\n\r\n")
    await writer.drain()


def test_what_is_wrong_with_tls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is not trusted, or is for another name, and the two ways to take the wrong scheme."""
    context = tls_context(tmp_path / "authority.pem", "localhost")
    with (
        in_background(WebServer(lambda _: HEALTHY, tls=context)) as secure,
        in_background(listening(_speaks_http)) as plain,
        in_background(listening(_knows_both)) as ours,
    ):
        untrusted = _refusal(f"https://localhost:{secure.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        other_name = _refusal(f"https://127.0.0.1:{secure.port}")
        no_tls, tls = _refusal(f"https://127.0.0.1:{plain}"), _refusal(f"http://127.0.0.1:{secure.port}")
        alerted = _refusal(f"https://127.0.0.1:{ours}")
        with Client(f"https://localhost:{secure.port}", None) as trusting:
            assert trusting.health().is_ready

    assert "SSL_CERT_FILE" in untrusted
    assert "not valid for '127.0.0.1'. Use a name" in other_name
    assert "does not speak TLS. Use http://" in no_tls
    assert "does not speak TLS. Use http://" in alerted
    assert "speaks TLS. Use https://" in tls


def _refusal(url: str) -> str:
    with Client(url, None) as client, pytest.raises(ServiceUnavailable) as refusal:
        client.health()
    assert not isinstance(refusal.value, Unreachable)
    return str(refusal.value)


def test_a_file_whose_server_is_not_trusted_names_the_certificate(tmp_path: Path) -> None:
    """As where PIPELET_PUBLIC_URL has one that this machine signed itself."""
    context = tls_context(tmp_path / "authority.pem", "127.0.0.1")
    with (
        in_background(WebServer(lambda _: HEALTHY, tls=context)) as server,
        Client("http://127.0.0.1:1", None) as client,
    ):
        file = ResultFile(url=f"{server.url}/files/a.png", file_name="a.png")
        with pytest.raises(ServiceUnavailable, match=r"Fetching a\.png .*not trusted.*SSL_CERT_FILE"):
            client.download(Result(files=(file,), seed=0, body={}), tmp_path / "out")


def _s3(endpoint: str) -> S3BlobStore:
    usual = {"prefix": "", "region": "x", "virtual_hosted": False, "session_token": "", "url_ttl_seconds": 60.0}
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    both = {"endpoint": endpoint, "public_endpoint": endpoint}
    return S3BlobStore("pictures", proxy=proxy_for(endpoint), **usual, **keys, **both)  # type: ignore[arg-type]


async def test_a_bucket_is_reached_by_the_same_rule(dead: str) -> None:
    """A server of S3 in our own network without a proxy, one on the internet with it; messages name it."""
    async with WebServer(lambda _: whole(b"", ETag='"x"')) as server:
        await _s3(server.url).check()
    with pytest.raises(BlobStoreError, match=rf"by the proxy {dead} \(HTTP_PROXY\)"):
        await _s3("http://s3.example.com").check()

    assert ["/pictures/.pipelet-check"] == [request.path for request in server.requests]


async def test_signed_urls_of_our_bucket_do_not_go_to_a_proxy(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the bucket is not on the internet. Its server sees who fetches."""
    async with WebServer(lambda _: whole(b"png")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_http_clients(settings.load(blobs_url="s3://pictures")) as http_clients:
            response = await http_clients.storage.get(f"{server.url}/pictures/a.png?X-Amz-Signature=secret")

    assert b"png" == response.content
    assert server.requests[0].headers["user-agent"].startswith("Pipelet/")
