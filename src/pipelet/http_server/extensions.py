"""What the server offers beyond ASGI."""

ABORT = "pipelet.abort"
"""`scope["extensions"][ABORT]["now"]()` breaks the connection off, for which ASGI has no word."""
