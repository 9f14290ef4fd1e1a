"""A load generator in a process of its own: raw sockets, kept alive, each with one request under way.

What it took itself is part of its report, to show that it was not the bottleneck.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.lib.service import APP, ROOT

_PATIENCE = 30.0
_KEPT_ALIVE = 3.0
"""Seconds; servers close connections that were idle for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    requests: int
    seconds: float
    failed: int
    """Answers of 400 and above."""
    client_cpu_seconds: float
    server_cpu_seconds: float
    last_body: str

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def client_us(self) -> float:
        return self.client_cpu_seconds / self.requests * 1e6

    @property
    def server_us(self) -> float:
        return self.server_cpu_seconds / self.requests * 1e6


def request(method: str, path: str, key: str, body: dict[str, Any] | None = None) -> bytes:
    """The bytes of a request as a client sends it."""
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", "Accept: */*"]
    head += [] if body is None else ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


def submission(key: str, **fields: Any) -> bytes:
    body = {"prompt": "a red apple on a light blue background", "width": 1024, "height": 1024, **fields}
    return request("POST", f"/fal/queue/{APP}", key, body)


def status(key: str, request_id: str) -> bytes:
    return request("GET", f"/fal/queue/{APP}/requests/{request_id}/status?logs=0", key)


class Caller:
    """One connection, one request after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self._used_at = time.monotonic()
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, raw: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer."""
        if time.monotonic() - self._used_at > _KEPT_ALIVE:
            self.close()
            self._connect()
        self._used_at = time.monotonic()
        self._socket.sendall(raw)
        answer = _Answer()
        while not answer.take(self._socket.recv(1 << 16)):
            pass
        return answer.status, json.loads(answer.body)

    def close(self) -> None:
        self._socket.close()


@dataclass(slots=True)
class _Answer:
    """The answer that is coming in on a connection."""

    data: bytes = b""
    end: int = 0
    status: int = 0
    body_at: int = field(default=0)

    def take(self, piece: bytes) -> bool:
        """True once it is whole."""
        if not piece:
            raise ConnectionError("The server closed the connection.")
        self.data += piece
        if not self.end:
            head = self.data.find(b"\r\n\r\n")
            if head < 0:
                return False
            self.status = int(self.data[9:12])
            at = self.data.lower().index(b"content-length:") + 15
            self.body_at = head + 4
            self.end = self.body_at + int(self.data[at : self.data.index(b"\r", at)])
        return len(self.data) >= self.end

    @property
    def body(self) -> bytes:
        return self.data[self.body_at : self.end]


def hammer(port: int, server_pid: int, raw: bytes, *, connections: int, seconds: float) -> Report:
    """Repeat one request on many connections at once, from another process."""
    command = [sys.executable, "-m", "benchmarks.lib.load", str(port), str(server_pid), str(connections), str(seconds)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    ended = subprocess.run(command, input=raw, capture_output=True, env=environment, check=True)
    return Report(**json.loads(ended.stdout))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, as the scheduler counts it (Linux)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Return the memory of a process, `VmRSS` (Linux)."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


def _hammer(port: int, server_pid: int, raw: bytes, connections: int, seconds: float) -> Report:
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, _Answer())
    used, server_used, began = time.process_time(), cpu_seconds(server_pid), time.perf_counter()
    for key in selector.get_map().values():
        _send(key, raw)
    done, failed, last = 0, 0, b""
    until = began + seconds
    while (now := time.perf_counter()) < until:
        for key, answer in _answered(selector):
            done += 1
            failed += answer.status >= 400
            last = answer.body
            _send(key, raw)
    return Report(
        requests=done,
        seconds=now - began,
        failed=failed,
        client_cpu_seconds=time.process_time() - used,
        server_cpu_seconds=cpu_seconds(server_pid) - server_used,
        last_body=last.decode(),
    )


def _send(key: selectors.SelectorKey, raw: bytes) -> None:
    key.data.__init__()
    key.fileobj.sendall(raw)  # type: ignore[union-attr]


def _answered(selector: selectors.BaseSelector) -> Iterator[tuple[selectors.SelectorKey, _Answer]]:
    events = selector.select(_PATIENCE)
    if not events:
        raise TimeoutError("The server has stopped answering.")
    for key, _ in events:
        if key.data.take(key.fileobj.recv(1 << 16)):  # type: ignore[union-attr]
            yield key, key.data


if __name__ == "__main__":
    port_, pid_, connections_, seconds_ = sys.argv[1:]
    report_ = _hammer(int(port_), int(pid_), sys.stdin.buffer.read(), int(connections_), float(seconds_))
    fields = {name: getattr(report_, name) for name in Report.__slots__}
    sys.stdout.write(json.dumps(fields))
