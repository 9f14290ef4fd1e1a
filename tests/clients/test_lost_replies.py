"""Replies that are lost on the way: fal's clients send the submit again by themselves."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.installed import HERE
from tests.clients.test_fal_javascript import start_node
from tests.support.installed import node_modules
from tests.support.servers.proxy import Proxy, proxy_to
from tests.support.servers.tcp import in_background, tls_context
from tests.support.service import Service

CUTS = 2
CLIENTS = ["python", "javascript"]
CALL = """
import json, sys, fal_client
arguments = {"prompt": "a fox", "width": 64, "height": 64}
handle = fal_client.submit("queue/z-image-text-to-image", arguments=arguments, headers=json.loads(sys.argv[1]))
print(json.dumps([handle.request_id, len(handle.get()["images"])]))
"""


@dataclass
class Lossy:
    """A service whose answers to submits are lost `CUTS` times, after it has taken the request."""

    service: Service
    proxies: dict[str, Proxy]
    """By client: Python's speaks TLS."""
    trusted: Path

    def submit(self, client: str, headers: dict[str, str]) -> tuple[str, int]:
        """By an unmodified client: the id, and the number of images."""
        proxy = self.proxies[client]
        proxy.cut, proxy.cuts_left = 0, CUTS
        start = self._start_python if client == "python" else self._start_node
        with start(proxy, json.dumps(headers)) as process:
            out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert CUTS == proxy.cut
        request_id, images = json.loads(out)
        return request_id, images

    def _start_python(self, proxy: Proxy, headers: str) -> "subprocess.Popen[str]":
        environment = os.environ | {
            "FAL_KEY": self.service.key,
            "FAL_QUEUE_RUN_HOST": f"127.0.0.1:{proxy.port}/fal",
            "SSL_CERT_FILE": str(self.trusted),
        }
        command = [sys.executable, "-c", CALL, headers]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _start_node(self, proxy: Proxy, headers: str) -> "subprocess.Popen[str]":
        url = f"http://127.0.0.1:{proxy.port}"
        folder = self.service.folder / f"node-{len(self.requests())}"
        return start_node(folder, HERE / "node" / "submit.mjs", headers, service=self.service, SERVICE_URL=url)

    def requests(self) -> list[str]:
        """The ids of all that were ever taken, in order."""
        with contextlib.closing(sqlite3.connect(self.service.data_dir / "pipelet.sqlite")) as database:
            return [job_id for (job_id,) in database.execute("SELECT id FROM job ORDER BY seq")]


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lossy]:
    node_modules()
    folder = tmp_path_factory.mktemp("lossy")
    trusted = folder / "authority.pem"
    with (
        in_background(proxy_to(tls=tls_context(trusted, "127.0.0.1"))) as behind_tls,
        in_background(proxy_to()) as plain,
        Service(folder, settings={"public_url": f"https://127.0.0.1:{behind_tls.port}"}) as service,
    ):
        proxies = {"python": behind_tls, "javascript": plain}
        for proxy in proxies.values():
            proxy.to_port = service.port
        yield Lossy(service, proxies, trusted)


@pytest.mark.parametrize("client", CLIENTS)
def test_with_a_key_a_lost_reply_makes_no_second_request(lossy: Lossy, client: str) -> None:
    """The client repeats the POST until it is answered; with an `Idempotency-Key` exactly one request exists, and that
    is the one whose result the client gets."""
    before = lossy.requests()

    request_id, images = lossy.submit(client, {"Idempotency-Key": f"4f2e3d1c-lost-{client}"})

    assert 1 == images
    assert [*before, request_id] == lossy.requests()


@pytest.mark.parametrize("client", CLIENTS)
def test_without_a_key_every_lost_reply_leaves_a_request_behind(lossy: Lossy, client: str) -> None:
    """The same client without the header: each of its POSTs is a request of its own. So the proxy does lose replies."""
    before = lossy.requests()

    request_id, _ = lossy.submit(client, {})

    assert [*before] == lossy.requests()[: len(before)]
    assert len(before) + CUTS + 1 == len(lossy.requests())
    assert request_id == lossy.requests()[-1]
