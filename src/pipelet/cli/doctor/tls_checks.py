"""Checks of HTTPS."""

from datetime import UTC, datetime, timedelta

from pipelet.cli.doctor import Finding, fail, ok, warn
from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings

_EXPIRES_SOON = timedelta(days=14)


def tls(chosen: Settings) -> Finding:
    """Report whether clients that speak TLS alone can connect, and how long the certificate is valid."""
    if chosen.serves_tls:
        return _certificate(chosen)
    if (chosen.public_url or "").startswith("https://"):
        return ok(f"left to the proxy of {chosen.public_url}; the service itself speaks plain HTTP")
    return ok(
        "off. fal's Python client speaks nothing else: it would retry for 48 seconds, then report HANDSHAKE_FAILURE or "
        "WRONG_VERSION_NUMBER. `pipelet serve --tls` serves HTTPS"
    )


def _certificate(chosen: Settings) -> Finding:
    from pipelet.wiring.tls import read_certificate  # few services need it

    files = chosen.tls_files
    if files.is_own and not files.certificate.exists():
        return ok(f"{files.certificate} does not exist yet; the first start makes it")
    try:
        found = read_certificate(files)
    except OperationalError as error:
        return fail(str(error), "Fix that: PIPELET_TLS_CERT.")
    detail = f"{files.certificate} is valid for {', '.join(sorted(found.names))} until {found.not_after:%Y-%m-%d}"
    if files.is_own or found.not_after - datetime.now(UTC) > _EXPIRES_SOON:
        return ok(detail)
    return warn(detail, "Renew it; a running service uses the new file within an hour.")
