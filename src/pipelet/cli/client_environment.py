"""The lines that `pipelet serve --tls` prints, for the shell in which a client of fal runs."""

import shlex
from urllib.parse import urlsplit

from pipelet.settings import Settings


def client_environment(chosen: Settings, base_url: str, secret: str | None, *, is_terminal: bool) -> str:
    """Return `export` lines with which fal's clients, Python and Node reach the service and trust its certificate.

    Args:
        base_url: URL of the service.
        secret: the first key; None if there is none.
        is_terminal: whether the lines are printed on a terminal: the key is not shown elsewhere.
    """
    parts = urlsplit(base_url)
    address = parts.netloc + parts.path.rstrip("/")
    key = secret or "KEY"
    if secret and not is_terminal:
        key = f'"$(cat {shlex.quote(str(chosen.local_key_file.resolve()))})"'
    lines = {"FAL_KEY": key, "FAL_QUEUE_RUN_HOST": f"{address}/fal", "FAL_RUN_HOST": f"{address}/fal/run"}
    files = chosen.tls_files
    if files.is_own:
        # SSL_CERT_FILE replaces the certificates that a program trusts. Node adds ours to its own.
        lines["SSL_CERT_FILE"] = shlex.quote(str(files.ca_bundle.resolve()))
        lines["NODE_EXTRA_CA_CERTS"] = shlex.quote(str(files.certificate.resolve()))
    return "".join(f"  export {name}={value}\n" for name, value in lines.items())
