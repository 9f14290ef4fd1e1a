"""What the system says of the processes that are there."""

from pathlib import Path


def marked(mark: str) -> list[int]:
    """The ids of those that live with this variable in their environment, as `NAME=value`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0") and not _is_zombie(folder):
                    found.append(int(folder.name))
            except OSError:  # it has just ended
                continue
    return found


def _is_zombie(folder: Path) -> bool:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def arguments(pid: int) -> list[bytes]:
    """The command line; empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
