"""What one client may send and hold, and what all may."""

import resource
from dataclasses import dataclass

_MIB = 1024 * 1024
_RESERVED_FILES = 64
"""For the database, the log, the workers' pipes, the downloads."""
_MOST_FILES = 65_536
"""Where the system sets no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes are in bytes, times in seconds."""

    head_bytes: int = 64 * 1024
    """Of a request line with its headers; of the trailers of a body, too."""
    headers: int = 100
    url_bytes: int = 16 * 1024
    head_seconds: float = 30.0
    """From the connection, or from the first byte on a kept one, until the head of a request is complete."""
    unfinished_heads_bytes: int = 64 * _MIB
    """Of all connections together."""
    pipelined_requests: int = 32
    """Requests of one connection that wait for the answer to an earlier one."""
    framing_bytes: int = 64 * 1024
    """Of a chunked body, beyond eight times its content: chunk sizes, extensions, trailers."""
    drain_bytes: int = 64 * _MIB
    """What is read and dropped of a body after the answer to it, so that the client can read that answer."""
    drain_seconds: float = 30.0
    drain_idle_seconds: float = 5.0
    """Without a byte."""
    draining_connections: int = 100
    write_stall_seconds: float = 60.0
    """Without progress, while a client does not read its answer."""
    max_connections: int = 0
    """0: half of the files that the process may open, because an answer may be a file; see `connection_limit`."""

    accept_pause_seconds: float = 1.0
    """While no more files can be opened."""

    def connection_limit(self) -> int:
        if self.max_connections:
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
        return max(16, (files - _RESERVED_FILES) // 2)
