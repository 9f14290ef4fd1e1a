"""Check that no other user of the machine can write a file."""

import grp
import os
import pwd
import stat
from pathlib import Path

from pipelet.domain.errors import OperationalError
from pipelet.system.permissions import user_name


def refuse_untrusted(path: Path) -> None:
    """Refuse a settings file that another user can write.

    Raises:
        OperationalError: another user may have written it.
    """
    if reason := _why_untrusted(path):
        raise OperationalError(
            f"{path.absolute()} is refused: {reason}, and its settings decide where keys are sent and which code runs. "
            "Make it yours alone (chown, chmod go-w), or run the command in another directory."
        )


def _why_untrusted(path: Path) -> str | None:
    """Return the reason; None if only this user and root can write the file, or it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to the user {user_name(found.st_uid)}"
    if found.st_mode & stat.S_IWOTH:
        return "every user can write to it"
    if found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid, found.st_uid):
        return f"the group {_group_name(found.st_gid)} can write to it"
    return None


def _is_private_group(group: int, user: int) -> bool:
    """Return whether this is the user's own group: many systems make one, with a umask that lets it write."""
    try:
        found, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except KeyError:
        return group == user
    return found.gr_name == owner.pw_name and set(found.gr_mem) <= {owner.pw_name}


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
