"""The data directory. It holds prompts, images and keys, so it is private to its user, or to a group."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import structlog

from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings
from pipelet.system.permissions import Permissions, permissions_for

log = structlog.get_logger()

_FOLDERS = (".incoming", "inputs", "outputs", "thumbnails", "uploads")
"""Where the keys of files begin."""


def permissions_of(settings: Settings) -> Permissions:
    return permissions_for(settings.data_group)


def prepare_data_dir(settings: Settings) -> None:
    """Create the data directory, or adjust the permissions of one that exists.

    Raises:
        OperationalError: it is not writable, or belongs to another user.
    """
    permissions = permissions_of(settings)
    with _refused(settings.data_dir):
        for folder in (settings.data_dir, settings.database_path.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
            permissions.make_folder(folder)
    check_data_dir(settings)
    with _refused(settings.data_dir):
        if changed := _adjust(settings, permissions):
            log.warning("data_dir.permissions_changed", folder=str(settings.data_dir), paths=changed)


def check_data_dir(settings: Settings) -> None:
    """Check that the data directory is writable, without changing it.

    Raises:
        OperationalError: it is not writable, or belongs to another user.
    """
    permissions = permissions_of(settings)
    for path in (settings.database_path, settings.data_dir, settings.database_path.parent):
        permissions.refuse_foreign(path)
    for folder in (settings.data_dir, settings.database_path.parent):
        with _refused(folder):
            probe = folder / f".check-{secrets.token_hex(4)}"
            os.close(permissions.opener(str(probe), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            probe.unlink()


def create_database_file(settings: Settings) -> None:
    """Create the database file with our mode: SQLite would apply the umask, and copies the mode to its other files."""
    with contextlib.suppress(FileExistsError):
        open(settings.database_path, "xb", opener=permissions_of(settings).opener).close()


def readable_by_others(settings: Settings) -> list[Path]:
    """Return the files and folders of the data directory that are less private than they should be."""
    permissions = permissions_of(settings)
    return [path for paths in _content(settings).values() for path in paths if _is_open(path, permissions)]


def _adjust(settings: Settings, permissions: Permissions) -> list[str]:
    changed = []
    for folder, paths in _content(settings).items():
        changed += [str(path) for path in paths if permissions.adjust(path)]
        # A folder with other content, such as a home directory, keeps its mode. Our files in it are adjusted above.
        if set(folder.iterdir()) <= set(paths) and _is_open(folder, permissions):
            permissions.set_mode(folder)
            changed += [] if _is_open(folder, permissions) else [str(folder)]
    return changed


def _is_open(path: Path, permissions: Permissions) -> bool:
    """Return whether a path of this user is less private than it should be."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return found.st_uid == os.geteuid() and not permissions.fits(found)


def _content(settings: Settings) -> dict[Path, list[Path]]:
    """Return the paths that Pipelet stores on disk, by folder."""
    content: dict[Path, list[Path]] = {}
    if settings.bucket is None and settings.files_folder.is_dir():
        content[settings.files_folder] = [settings.files_folder / name for name in _FOLDERS]
    if not settings.postgres_url:
        database, suffixes = settings.database_path, ("", "-wal", "-shm", "-notify", "-notify-changes")
        content[database.parent] = [database.with_name(database.name + suffix) for suffix in suffixes]
    keys = [settings.local_key_file, settings.signing_key_file]
    content.setdefault(settings.data_dir, []).extend([*keys, settings.data_dir / "files", settings.data_dir / "tls"])
    return content


@contextlib.contextmanager
def _refused(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OperationalError(
                f"The disk of the data directory {folder} is full. Free some space there."
            ) from error
        raise OperationalError(
            f"The data directory {folder} is not writable ({error.strerror}). Make it writable, or choose another "
            "with --data-dir or PIPELET_DATA_DIR."
        ) from error
