"""Extensions of ASGI that the server offers."""

ABORT_EXTENSION = "pipelet.abort"
"""`scope["extensions"][ABORT]["now"]()` aborts the connection, which ASGI has no message for."""
