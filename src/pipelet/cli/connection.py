"""Where the service is, and with which key: the flags that all commands share which call it."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cyclopts import Parameter

from pipelet import settings
from pipelet.client import Client
from pipelet.domain.errors import Unusable
from pipelet.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """
    Parameters
    ----------
    url
        Where the service is; or PIPELET_URL. [default: this machine, port 8000]
    key
        API key; or PIPELET_KEY. Other users see it in the list of processes: prefer --key-file. [default: the one in
        the data directory]
    key_file
        File that holds the API key, and nothing else.
    data_dir
        Where the service on this machine keeps its first key. [default: .pipelet]
    """

    url: str | None = None
    key: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    data_dir: Path | None = None


HERE = Connection()


def connect(connection: Connection) -> Client:
    """
    Raises:
        Unusable: a setting is wrong, or there is no key to be found.
    """
    key = given_key(connection.key, connection.key_file)
    chosen = settings.load(url=connection.url, key=key, data_dir=connection.data_dir)
    return Client(chosen.service_url, chosen.key or _local_key(chosen))


def given_key(key: str | None, key_file: Path | None) -> str | None:
    """The key that the flags give; None where they give none.

    Raises:
        Unusable: there are two, or the file cannot be read.
    """
    if key_file is None:
        return key
    if key is not None:
        raise Unusable("--key and --key-file are both given. Leave one out.")
    try:
        return key_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"The key in {key_file} cannot be read: {error}. Name another file with --key-file.") from error


def _local_key(chosen: Settings) -> str:
    file = chosen.local_key_file
    if not is_ours(chosen):
        raise Unusable(
            f"{chosen.service_url} is not on this machine: give a key for it with --key-file or PIPELET_KEY."
        )
    try:
        return file.read_text().strip()
    except FileNotFoundError as error:
        raise Unusable(
            f"There is no key at {file}. Start the service once with `pipelet serve` (on PostgreSQL, make one with "
            f"`pipelet keys create local --user local > {file}`), name its data directory with --data-dir, or give a "
            "key with --key-file or PIPELET_KEY."
        ) from error
    except OSError as error:
        raise Unusable(f"The key in {file} cannot be read ({error.strerror}). Give one with --key-file.") from error


def is_ours(chosen: Settings) -> bool:
    """The first key opens everything here: it is not sent to other machines by itself."""
    host = urlsplit(chosen.service_url).hostname or ""
    is_loopback = host in ("localhost", "::1") or host.startswith("127.")
    return is_loopback or not chosen.url or chosen.url == chosen.public_url
