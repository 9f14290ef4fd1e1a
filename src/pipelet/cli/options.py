"""Flags that several commands share, and the connection to the service that they describe."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from pipelet import settings
from pipelet.client import Client
from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings


def setting(name: str, default: str | None = None) -> Parameter:
    """Help of a flag that gives a setting: the description of the setting."""
    field = Settings.model_fields[name]
    return Parameter(help=f"{field.description} [default: {default or field.default}]")


Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative=(), show_default=False, help="Print one JSON document and nothing else."),
]
Internal = Annotated[bool, Parameter(show=False)]
"""A flag that one of our processes sets for another."""
RequestId = Annotated[str, Parameter(help="Id of a request of any user.")]
OwnRequestId = Annotated[str, Parameter(help="Id of the request, as `pipelet generate --no-wait` printed it.")]
DataDir = Annotated[Path | None, setting("data_dir")]
Device = Annotated[str | None, setting("device")]
ModelName = Annotated[str | None, setting("model", default="the demo model")]
WorkerApp = Annotated[str | None, setting("worker_app", default="all apps")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    url: str | None = None
    """URL of the service; or PIPELET_API_URL. [default: this machine, port 8000]"""
    key: str | None = field(default=None, repr=False)
    """API key; or PIPELET_API_KEY. Other users see a flag in the list of processes: prefer --key-file. [default: the
    key in the data directory]"""
    key_file: Path | None = None
    """File that holds the API key, and nothing else."""
    data_dir: DataDir = None


DEFAULT_CONNECTION = ConnectionOptions()


def connect(connection: ConnectionOptions) -> Client:
    """
    Raises:
        OperationalError: a setting is wrong, or no key was found.
    """
    chosen = settings.load(api_url=connection.url, api_key=given_key(connection), data_dir=connection.data_dir)
    return Client(chosen.service_url, chosen.api_key or local_key(chosen), ca_file=own_certificate(chosen))


def own_certificate(chosen: Settings) -> Path | None:
    """Return the certificate that the service on this machine has made; None if it is elsewhere, or has none."""
    file = chosen.tls_files.certificate
    return file if chosen.tls_files.is_own and is_own_service(chosen) and file.exists() else None


def given_key(connection: ConnectionOptions) -> str | None:
    """Return the key from the flags; None if there is none.

    Raises:
        OperationalError: both flags are given, or the file cannot be read.
    """
    key_file = connection.key_file
    if key_file is None:
        return connection.key
    if connection.key is not None:
        raise OperationalError("--key and --key-file are both given. Leave one out.")
    try:
        return key_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperationalError(
            f"Reading the key in {key_file} failed: {error}. Name another file with --key-file."
        ) from error


def local_key(chosen: Settings) -> str:
    """Return the first key of the service on this machine.

    Raises:
        OperationalError: the service is on another machine, or the key cannot be read.
    """
    file = chosen.local_key_file
    if not is_own_service(chosen):
        raise OperationalError(
            f"{chosen.service_url} is not on this machine. Give a key for it with --key-file or PIPELET_API_KEY."
        )
    try:
        return file.read_text().strip()
    except FileNotFoundError as error:
        raise OperationalError(
            f"No key at {file}. Start the service once with `pipelet serve` (on PostgreSQL, make one with "
            f"`pipelet keys create local --admin --user local > {file}`), name its data directory with --data-dir, or "
            "give a key with --key-file or PIPELET_API_KEY."
        ) from error
    except OSError as error:
        raise OperationalError(
            f"Reading the key in {file} failed: {error.strerror}. Give a key with --key-file."
        ) from error


def is_own_service(chosen: Settings) -> bool:
    """Return whether the service is the one on this machine. The first key has access to everything here, so it is not
    sent to another machine by default."""
    host = urlsplit(chosen.service_url).hostname or ""
    is_loopback = host in ("localhost", "::1") or host.startswith("127.")
    return is_loopback or not chosen.api_url or chosen.api_url == chosen.public_url
