"""Limits for one client, and for all clients."""

import resource
from dataclasses import dataclass

_MIB = 1024 * 1024
_RESERVED_FILES = 64
"""File descriptors kept for the database, the log, the workers' pipes and downloads."""
_MOST_FILES = 65_536
"""Limit of connections if the system sets no limit of open files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a server. Sizes are in bytes, times in seconds."""

    head_bytes: int = 64 * 1024
    """Maximum size of a request line with its headers, and of the trailers of a body."""
    headers: int = 100
    url_bytes: int = 16 * 1024
    head_seconds: float = 30.0
    """Time from the connection, or from the first byte on a kept one, until the head of a request is complete."""
    body_idle_seconds: float = 75.0
    """Maximum time without a byte of a body, until its response begins. What bounds a whole body is up to the
    application."""
    unfinished_heads_bytes: int = 64 * _MIB
    """Maximum size for all connections together."""
    pipelined_requests: int = 32
    """Maximum requests of one connection that wait for the response to an earlier one."""
    framing_bytes: int = 64 * 1024
    """Maximum framing of a chunked body (chunk sizes, extensions, trailers) beyond eight times its content."""
    drain_bytes: int = 64 * _MIB
    """Maximum bytes of a body that are dropped after its response, so that the client can read the response."""
    drain_seconds: float = 30.0
    drain_idle_seconds: float = 5.0
    """Maximum time of a drain without a byte."""
    draining_connections: int = 100
    write_stall_seconds: float = 60.0
    """Maximum time without progress while a client does not read its response."""
    max_connections: int = 0
    """Maximum connections. 0: half of the files that the process may open, because a response may need a file."""

    tls_handshakes: int = 1000
    """Maximum TLS handshakes at the same time. Their connections are counted as such afterwards."""
    tls_handshake_seconds: float = 10.0
    tls_shutdown_seconds: float = 5.0
    """Time for a client to confirm the end of a TLS connection."""

    accept_pause_seconds: float = 1.0
    """Pause of the accept loop when no file descriptor is left."""

    def connection_limit(self) -> int:
        if self.max_connections:
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
        return max(16, (files - _RESERVED_FILES) // 2)
