"""Requests as clients send them by mistake or on purpose: heads, bodies, chunks, trailers, pipelines. All seeded."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.lib.service import APP

CRLF = b"\r\n"


class Ending(StrEnum):
    """What the client does after it has sent everything."""

    READ = "read"
    """It reads the answers, and closes."""
    HALF_CLOSE = "half-close"
    RESET = "reset"
    IDLE = "idle"
    """It neither reads nor closes, for a while."""


@dataclass(frozen=True, slots=True)
class Input:
    kind: str
    pieces: list[bytes]
    """Each is sent in a packet of its own."""
    ending: Ending = Ending.READ
    answers: int = 1
    """How many there may be at most; the client waits for no more."""
    has_bodies: bool = True
    """False: the answers are those to HEAD."""


@dataclass
class Maker:
    """Makes inputs for a service where `key` is valid and `request_id` is one of its own requests."""

    rng: random.Random
    key: str
    request_id: str
    _makers: list[Callable[[], Input]] = field(init=False)

    def __post_init__(self) -> None:
        self._makers = [
            self._mutated_head,
            self._mutated_head,
            self._strange_headers,
            self._oversized,
            self._wrong_length,
            self._chunks,
            self._chunks,
            self._trailers,
            self._pipeline,
            self._offer,
            self._noise,
            self._half_open,
            self._early_refusal,
            self._json,
            self._json,
            self._targets,
        ]

    def next(self) -> Input:
        return self.rng.choice(self._makers)()

    def _mutated_head(self) -> Input:
        method = self._method()
        raw = self._mutated(self._request(method, self._path(), self._some_headers(), self._small_body()))
        return Input("head, mutated", self._split(raw), self._ending(), has_bodies=method != b"HEAD")

    def _strange_headers(self) -> Input:
        names = [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Range", b"Authorization"]
        names += [b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto", b"If-None-Match", b"Last-Event-ID"]
        values = [b"", b"a" * self.rng.randrange(300), b"close, upgrade", b"chunked", b"identity", b"-1", b"1e9", b"*"]
        values += [b"0x5", b"100-continue", b"bytes=0-,-1,5-", b"::1, 10.0.0.1, unknown", b"\xff\xfe", b"a\tb", b'"']
        headers = [(self.rng.choice(names), self.rng.choice(values)) for _ in range(self.rng.randrange(1, 12))]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        method = self._method()
        raw = b"%s %s HTTP/1.1\r\n%s\r\n" % (method, self._path(), head)
        return Input("headers, strange", [raw], has_bodies=method != b"HEAD")

    def _oversized(self) -> Input:
        size = self.rng.choice([2**12, 2**16, 2**17])
        raw = self.rng.choice(
            [
                b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * size + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * (size // 4) + b"\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * size,
                CRLF * (size // 2) + b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            ]
        )
        return Input("head, oversized", self._split(raw, most=4))

    def _wrong_length(self) -> Input:
        body = self._small_body()
        length = self.rng.choice([0, 1, len(body) - 1, len(body) + 1, 10**6, 10**18, 2**64])
        head = self._head(b"POST", self._submit_path(), [(b"Content-Length", b"%d" % length)])
        return Input("body, wrong length", [head, body], self._ending())

    def _chunked(self, body: bytes) -> bytes:
        chunks, at = b"", 0
        while at < len(body):
            size = self.rng.randrange(1, 40)
            extension = self.rng.choice([b"", b"", b";a=b", b";" + b"x" * self.rng.randrange(2000)])
            piece = body[at : at + size]
            chunks += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
            at += size
        return chunks

    def _chunks(self) -> Input:
        chunks = self._chunked(self._small_body()) + b"0\r\n\r\n"
        if self.rng.random() < 0.7:
            chunks = self._mutated(chunks)
        head = self._head(b"POST", self._submit_path(), [(b"Transfer-Encoding", b"chunked")])
        return Input("chunks", [head, *self._split(chunks)], self._ending())

    def _trailers(self) -> Input:
        size = self.rng.choice([1, 50, 200, 5000])
        trailers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * self.rng.randrange(40)) for n in range(size))
        trailers += b"Authorization: Bearer stolen\r\nContent-Length: 5\r\n"
        raw = self._chunked(self._small_body()) + b"0\r\n" + trailers + CRLF
        head = self._head(b"POST", self._submit_path(), [(b"Transfer-Encoding", b"chunked")])
        return Input("trailers", [head, *self._split(raw)], self._ending())

    def _pipeline(self) -> Input:
        count = self.rng.choice([2, 5, 40, 400])
        requests = [self._request(b"GET", self._path(), []) for _ in range(count)]
        if self.rng.random() < 0.3:
            requests[self.rng.randrange(count)] = self._mutated(requests[0])
        return Input("pipeline", self._split(b"".join(requests)), self._ending(), answers=count)

    def _offer(self) -> Input:
        protocol = self.rng.choice([b"h2c", b"websocket", b"TLS/1.0", b"a, b"])
        headers = [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", protocol), (b"HTTP2-Settings", b"AAMA")]
        raw = self._request(b"POST", self._submit_path(), headers, self._small_body()) * self.rng.choice([1, 1, 3])
        return Input("upgrade", self._split(raw), self._ending(), answers=3)

    def _noise(self) -> Input:
        raw = self.rng.choice([b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", b"\0" * 20])
        return Input("no HTTP", self._split(raw + self.rng.randbytes(self.rng.randrange(400))))

    def _half_open(self) -> Input:
        raw = self._request(b"POST", self._submit_path(), [], self._small_body())
        return Input("half open", [raw[: self.rng.randrange(len(raw))]], self.rng.choice([*Ending]))

    def _early_refusal(self) -> Input:
        size = self.rng.choice([2**16, 2**20])
        more = [(b"Connection", self.rng.choice([b"close", b"keep-alive"])), (b"Content-Length", b"%d" % size)]
        if self.rng.random() < 0.3:
            more.append((b"Expect", b"100-continue"))
        head = self._head(b"POST", self._submit_path(), more, key=b"pk_" + b"x" * 43)
        sent = self.rng.choice([size, size, size // 2, 0])
        return Input("early refusal", [head, bytes(sent)], self._ending(), answers=2)

    def _json(self) -> Input:
        odd = [None, True, -1, 1e308, 2**70, "", "a" * 5000, "\ud800", "\0", [], {}, [[]] * 3, {"a": {"b": []}}]
        names = ["prompt", "width", "height", "seed", "priority", "batch_size", "num_inference_steps", "x", "\x1b"]
        fields = {name: self.rng.choice(odd) for name in self.rng.sample(names, self.rng.randrange(1, 6))}
        body = json.dumps(fields, ensure_ascii=self.rng.random() < 0.5).encode("utf-8", "surrogatepass")
        if self.rng.random() < 0.4:
            body = self._mutated(body)
        return Input("JSON", [self._request(b"POST", self._submit_path(), self._some_headers(), body)])

    def _targets(self) -> Input:
        odd = [b"*", b"//", b"/%00", b"/%ff%fe", b"/files/../x", b"/files/a?expires=1e9&signature=%00", b"http://b/x"]
        odd += [b"http://[::1", b"b:443", b"/\xc3\xa4", b"/a b", b"/docs?" + b"a=b&" * 500, b"/%2e%2e/x", b"/#a", b"?"]
        target = self._mutated(self._path()) if self.rng.random() < 0.5 else self.rng.choice(odd)
        method = self._method()
        version = self.rng.choice([b"1.1", b"1.1", b"1.0", b"2.0", b"0.9", b"9.9"])
        first = b"%s %s HTTP/%s" % (method, target, version)
        raw = CRLF.join([first, b"Host: a", b"Authorization: Bearer " + self.key.encode(), b"", b""])
        return Input("targets", [raw], has_bodies=method != b"HEAD")

    # What these are made of

    def _method(self) -> bytes:
        return self.rng.choice([b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"CONNECT", b"PRI"])

    def _submit_path(self) -> bytes:
        paths = [f"/fal/queue/{APP}", f"/fal/queue/{APP}/", "/fal/queue/other", "/fal/proxy", "/nothing"]
        return self.rng.choice(paths).encode()

    def _path(self) -> bytes:
        request = f"/fal/queue/{APP}/requests/{self.request_id}"
        known = ["/", "/health/live", "/docs", "/openapi.json", "/.well-known/jwks.json", request, f"{request}/status"]
        return self.rng.choice([*known, f"{request}/status?logs=1", f"{request}/cancel", "/files/a.png"]).encode()

    def _some_headers(self) -> list[tuple[bytes, bytes]]:
        pool = [(b"X-Fal-Queue-Priority", b"low"), (b"X-Fal-Request-Timeout", b"5"), (b"Idempotency-Key", b"k")]
        pool += [(b"Origin", b"https://a.example"), (b"X-Fal-Object-Lifecycle-Preference", b"{}"), (b"Accept", b"*/*")]
        return self.rng.sample(pool, self.rng.randrange(4))

    def _small_body(self) -> bytes:
        return json.dumps({"prompt": "a" * self.rng.randrange(200), "width": 64, "height": 64}).encode()

    def _head(self, method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], key: bytes = b"") -> bytes:
        authorization = b"Authorization: Bearer " + (key or self.key.encode())
        lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: a", authorization]
        return CRLF.join([*lines, *(b"%s: %s" % header for header in headers), b"", b""])

    def _request(self, method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
        return self._head(method, path, [*headers, (b"Content-Length", b"%d" % len(body))]) + body

    def _mutated(self, raw: bytes) -> bytes:
        data = bytearray(raw)
        for _ in range(self.rng.randrange(1, 6)):
            at, size = self.rng.randrange(len(data) + 1), self.rng.randrange(1, 12)
            match self.rng.randrange(5):
                case 0:
                    data[at:at] = self.rng.randbytes(size)
                case 1:
                    del data[at : at + size]
                case 2:
                    data[at : at + size] = data[at : at + size] * 2
                case 3:
                    data[at:at] = self.rng.choice([CRLF, b"\n", b"\r", b"\0", b" ", b":", b"\t", b"%", b"0"])
                case 4 if at < len(data):
                    data[at] ^= 1 << self.rng.randrange(8)
        return bytes(data)

    def _split(self, raw: bytes, most: int = 3) -> list[bytes]:
        cuts = sorted(self.rng.randrange(len(raw) + 1) for _ in range(self.rng.randrange(most)))
        return [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    def _ending(self) -> Ending:
        return self.rng.choices([*Ending], [12, 2, 2, 1])[0]
