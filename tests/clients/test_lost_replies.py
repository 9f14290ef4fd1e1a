"""Replies that are lost on the way: fal's client sends the submit again by itself."""

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

from tests.clients.cutting_proxy import CuttingProxy, cutting_proxy
from tests.clients.tls import context_for
from tests.service import Service

CUTS = 2
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
    proxy: CuttingProxy
    trusted: Path

    def submit(self, headers: dict[str, str]) -> tuple[str, int]:
        """By an unmodified client: the id, and the number of images."""
        self.proxy.cut, self.proxy.cuts_left = 0, CUTS
        environment = os.environ | {
            "FAL_KEY": self.service.key,
            "FAL_QUEUE_RUN_HOST": f"127.0.0.1:{self.proxy.port}/fal",
            "SSL_CERT_FILE": str(self.trusted),
        }
        command = [sys.executable, "-c", CALL, json.dumps(headers)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert CUTS == self.proxy.cut
        request_id, images = json.loads(done.stdout)
        return request_id, images

    def requests(self) -> list[str]:
        """The ids of all that were ever taken, in order."""
        with contextlib.closing(sqlite3.connect(self.service.data_dir / "pipelet.sqlite")) as database:
            return [job_id for (job_id,) in database.execute("SELECT id FROM job ORDER BY seq")]


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lossy]:
    folder = tmp_path_factory.mktemp("lossy")
    trusted = folder / "authority.pem"
    with (
        cutting_proxy(0, context=context_for(trusted)) as proxy,
        Service(folder, settings={"public_url": f"https://127.0.0.1:{proxy.port}"}) as service,
    ):
        proxy.forward_to = int(service.url.rpartition(":")[2])
        yield Lossy(service, proxy, trusted)


def test_with_a_key_a_lost_reply_makes_no_second_request(lossy: Lossy) -> None:
    """fal's Python client repeats the POST until it is answered; with an `Idempotency-Key` exactly one request exists,
    and that is the one whose result the client gets."""
    before = lossy.requests()

    request_id, images = lossy.submit({"Idempotency-Key": "4f2e3d1c-lost"})

    assert 1 == images
    assert [*before, request_id] == lossy.requests()


def test_without_a_key_every_lost_reply_leaves_a_request_behind(lossy: Lossy) -> None:
    """The same client without the header: each of its POSTs is a request of its own. So the proxy does lose replies."""
    before = lossy.requests()

    request_id, _ = lossy.submit({})

    assert [*before] == lossy.requests()[: len(before)]
    assert len(before) + CUTS + 1 == len(lossy.requests())
    assert request_id == lossy.requests()[-1]
