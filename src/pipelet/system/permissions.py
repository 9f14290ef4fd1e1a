"""Modes and owners of files: of those that Pipelet stores, independent of the umask, and of those that it trusts."""

import contextlib
import errno
import grp
import os
import pwd
import shlex
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipelet.domain.errors import OperationalError


@dataclass(frozen=True, slots=True)
class Permissions:
    """Private to the user of this process, or shared with a group.

    Args:
        group: id of a group whose members may read and write as well; None: private.
    """

    group: int | None = None

    @property
    def file_mode(self) -> int:
        return 0o600 if self.group is None else 0o660

    @property
    def folder_mode(self) -> int:
        # With setgid, what SQLite creates in the folder belongs to the group as well.
        return 0o700 if self.group is None else 0o2770

    def opener(self, path: str, flags: int) -> int:
        """Opener for `open` with mode `x`: the new file gets our mode."""
        descriptor = os.open(path, flags, mode=0o600)
        if self.group is not None:
            os.fchown(descriptor, -1, self.group)
        self._change_mode(descriptor, self.file_mode)
        return descriptor

    def make_folder(self, path: Path) -> None:
        """Create a folder and its missing parents. An existing folder is not changed."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.is_dir():
                raise
        except FileNotFoundError:
            self.make_folder(path.parent)
            self.make_folder(path)
        else:
            self.set_mode(path)

    def set_mode(self, path: Path) -> None:
        """Give a file or folder of this user our mode, and the group."""
        if self.group is not None:
            os.chown(path, -1, self.group, follow_symlinks=False)
        self._change_mode(path, self.folder_mode if path.is_dir() else self.file_mode)

    def _change_mode(self, target: Path | int, mode: int) -> None:
        try:
            os.chmod(target, mode)
        except OSError as error:
            # Some file systems, such as FAT, have no modes. A file is then as private as its mount.
            if self.group is not None or error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise

    def adjust(self, path: Path) -> bool:
        """Give a file, or a folder and its content, our mode. Return whether that changed anything.

        Links, and files of other users, are not changed. A folder comes after its content, so that an interrupted run
        is repeated.
        """
        with contextlib.suppress(FileNotFoundError):  # SQLite removes files when a process ends
            found = path.lstat()
            is_folder = stat.S_ISDIR(found.st_mode)
            if found.st_uid != os.geteuid() or not (is_folder or stat.S_ISREG(found.st_mode)) or self.fits(found):
                return False
            if is_folder:
                for entry in path.iterdir():
                    self.adjust(entry)
            self.set_mode(path)
            return self.fits(path.lstat())
        return False

    def fits(self, found: os.stat_result) -> bool:
        """Return whether a file or folder has the mode and group that it should have."""
        if self.group is None:
            return not found.st_mode & 0o077
        wanted = self.folder_mode if stat.S_ISDIR(found.st_mode) else self.file_mode
        return (stat.S_IMODE(found.st_mode), found.st_gid) == (wanted, self.group)

    def refuse_foreign(self, path: Path) -> None:
        """Refuse a path of another user.

        Raises:
            OperationalError: `path` belongs to a user who could not read what this process writes there.
        """
        try:
            states = (path.lstat(), path.stat())  # the owner of a link decides where it leads
        except PermissionError:
            self.refuse_foreign(path.parent)
            return
        except (FileNotFoundError, NotADirectoryError):
            return
        for found in states:
            if self.group is None and not _is_ours(found) and not _is_mapped(path, found):
                owner = user_name(found.st_uid)
                raise OperationalError(
                    f"{path} belongs to the user {owner}, who could not read what {user_name(os.geteuid())} writes "
                    f"there. Run this as that user (sudo -u {shlex.quote(owner)} pipelet …), or set PIPELET_DATA_GROUP "
                    "to a group of both."
                )


PRIVATE = Permissions()


def _is_ours(found: os.stat_result) -> bool:
    """Return whether it belongs to this user, or is a folder or link that root made for this user."""
    return found.st_uid == os.geteuid() or (found.st_uid == 0 and not stat.S_ISREG(found.st_mode))


def _is_mapped(path: Path, found: os.stat_result) -> bool:
    """Return whether the file system shows one owner for all files, as folders shared by a virtual machine do."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=path if path.is_dir() else path.parent) as probe:
        return os.fstat(probe.fileno()).st_uid == found.st_uid
    return False


def permissions_for(group: str | None) -> Permissions:
    """Return the permissions of the setting PIPELET_DATA_GROUP, a name or a number; private if it is not set.

    Raises:
        OperationalError: there is no such group, or this user is not a member.
    """
    if not group:
        return PRIVATE
    try:
        number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise OperationalError(
            f"There is no group {group}. Create it with groupadd, or change PIPELET_DATA_GROUP."
        ) from error
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise OperationalError(
            f"The user {user_name(os.geteuid())} is not in the group {group}, which PIPELET_DATA_GROUP names. Add it "
            f"(usermod -aG {group} {user_name(os.geteuid())}), and log in again."
        )
    return Permissions(number)


def user_name(number: int) -> str:
    """Return the name of a user, or the number in the form that sudo accepts."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


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
