"""A real S3 server in a process of its own: SeaweedFS, which checks signatures and their expiry as AWS does."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

BUCKET = "pictures"
KEY, SECRET = "KEYOFTESTS", "secret-of-tests"
READER = ("READER", "secret-of-reader")
"""A key that may read and not write."""
HOST_SUFFIX = "s3.test"
"""Requests for the host `<bucket>.s3.test` are for that bucket."""
_IDENTITIES = {
    "identities": [
        {
            "name": "pipelet",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER[0], "secretKey": READER[1]}],
            "actions": ["Read", "List"],
        },
    ]
}


class S3Server:
    """May be killed and started again: it then takes the same ports and the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        names = ("s3", "master", "volume", "filer", "admin")
        ports = iter(_free_ports(2 * len(names)))
        self._ports = {f"{name}.port{kind}": next(ports) for name in names for kind in ("", ".grpc")}
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        (folder / "data").mkdir(parents=True)
        (folder / "identities.json").write_text(json.dumps(_IDENTITIES))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def variables(self, **changes: str) -> dict[str, str]:
        """What makes any program find the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        } | changes

    def start(self, *, within: float = 60.0) -> None:
        """Returns when a file can be stored."""
        options = {
            **self._ports,
            "dir": "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "bucket": BUCKET,
            "s3.config": "identities.json",
            "s3.domainName": HOST_SUFFIX,
            "s3.autoCreateBucket": "false",
            "s3.localSocket": "s3.sock",
            "filer.localSocket": "filer.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",
            "admin.ui": "false",
            "webdav": "false",
        }
        command = [f"{sysconfig.get_path('scripts')}/weed", "mini", *(f"-{name}={o}" for name, o in options.items())]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + within
        while not self._takes_files():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"The S3 server did not start.\n{(self._folder / 'log').read_text(errors='replace')}")
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, it takes connections and sends nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # its threads may be busy for a moment yet
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def bucket(self) -> S3Store:
        """Return a store of the bucket's, to look into it by another way than the one under test."""
        return S3Store(
            BUCKET,
            config={
                "access_key_id": KEY,
                "secret_access_key": SECRET,
                "endpoint": self.endpoint,
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def keys(self, prefix: str = "") -> set[str]:
        return {found["path"] for found in obstore.list(self.bucket(), prefix or None).collect()}

    def _takes_files(self) -> bool:
        with contextlib.suppress(BaseError, FileNotFoundError):
            obstore.put(self.bucket(), "started", b"yes")
            return True
        return False


def _free_ports(count: int) -> list[int]:
    """Below the ports of outgoing connections, which could take one during a restart."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randrange(15_000, 32_000)
            taken = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                ports.append(port)
        return ports
