"""Whether a file says what its reader wants it to, or what another user of the machine wants."""

import grp
import os
import pwd
import stat
from pathlib import Path

from pipelet.domain.errors import Unusable
from pipelet.system.permissions import user_name


def refuse_untrusted(path: Path) -> None:
    """
    Raises:
        Unusable: another user may have written these settings.
    """
    if reason := _why_untrusted(path):
        raise Unusable(
            f"{path.absolute()} is refused: {reason}, and its settings decide where keys are sent and which code runs. "
            "Make it yours alone (chown, chmod go-w), or run the command in another directory."
        )


def _why_untrusted(path: Path) -> str | None:
    """None where only this user and root can have written it, or it is missing."""
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
    """Many systems give each user a group of the same name, and a umask that lets that group write."""
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
