"""`pipelet serve --tls`: what it prints is all that fal's clients need, on a machine without a proxy."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.installed import NODE
from tests.support.servers.tcp import in_background, listening, tls_context
from tests.support.service import Service

_PYTHON = """
import sys, fal_client, httpx
result = fal_client.subscribe(
    "queue/z-image-text-to-image", arguments={"prompt": "a fox", "width": 64, "height": 64}, client_timeout=30
)
print(httpx.get(result["images"][0]["url"]).headers["content-type"], result["images"][0]["url"])
print(httpx.get(sys.argv[1]).text)
"""
_NODE = """
const answer = await fetch(`https://${process.env.FAL_QUEUE_RUN_HOST}/queue/z-image-text-to-image/requests/a/status`);
console.log(answer.status);
"""


async def _say_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    await writer.drain()


@dataclass(frozen=True)
class Pasted:
    service: Service
    other_url: str
    """An https server with a certificate that this machine trusts."""
    variables: dict[str, str]
    """Of a shell into which the printed lines were pasted."""


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pasted]:
    folder = tmp_path_factory.mktemp("serve-tls")
    trusted = folder / "authority.pem"
    with ExitStack() as stack:
        port = stack.enter_context(in_background(listening(_say_hello, tls=tls_context(trusted, "127.0.0.1"))))
        variables = {"SSL_CERT_FILE": str(trusted)}
        service = stack.enter_context(Service(folder / "a", settings={"tls": "true"}, variables=variables))
        lines = [line.strip() for line in service.printed("NODE_EXTRA_CA_CERTS") if "export" in line]
        shell = subprocess.run(
            ["sh", "-c", "; ".join(lines) + "; env -0"],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        pairs = (each.partition("=") for each in shell.stdout.split("\0") if each)
        yield Pasted(service, f"https://127.0.0.1:{port}/", {name: value for name, _, value in pairs})


def test_fals_client_works_after_pasting(pasted: Pasted) -> None:
    """Its requests, and the files that their results name; and the same program still reaches another server."""
    done = subprocess.run(
        [sys.executable, "-c", _PYTHON, pasted.other_url],
        env=pasted.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert ["image/png", "hello"] == [line.split()[0] for line in done.stdout.splitlines()]
    assert f" {pasted.service.url}/files/" in done.stdout


def test_node_works_after_pasting(pasted: Pasted) -> None:
    """Node trusts the certificate, in addition to its own."""
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", _NODE],
        env=pasted.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "401\n" == done.stdout, done.stderr


def test_the_command_line_trusts_the_service_of_its_machine(pasted: Pasted) -> None:
    """`--url` is all that it needs."""
    done = pasted.service.run("generate", "a fox", "--width", "64", "--height", "64", "--url", pasted.service.url)
    assert 0 == done.returncode, done.stderr


def test_clients_that_trust_nothing_of_ours_are_refused(pasted: Pasted) -> None:
    """The certificate vouches for itself alone."""
    others = pasted.service.folder.parent / "authority.pem"
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.get_server_certificate(("127.0.0.1", pasted.service.port), ca_certs=str(others))
