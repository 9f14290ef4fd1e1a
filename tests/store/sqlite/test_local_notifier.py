"""The notifier's sockets, on a machine with other users."""

import os
import socket
from contextlib import closing
from pathlib import Path

from structlog.testing import capture_logs

from pipelet.store.sqlite.connection.notifier import LocalNotifier
from tests.support.root import needs_root
from tests.support.waiting import until

STRANGER = 65534


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """A listener is notified also if its socket's path is longer than the system accepts."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    with closing(LocalNotifier(deep / "pipelet.sqlite")) as notifier:
        async with notifier.listen() as event:
            notifier.notify()

            await until(event.is_set, within=5)
    assert [] == list((deep / "pipelet.sqlite-notify").iterdir())


@needs_root
async def test_a_folder_of_others_is_not_used(tmp_path: Path) -> None:
    """A link, a folder of another user and one that others can write to disable notifications, and no file is deleted;
    it is logged once."""
    documents = tmp_path / "documents"
    documents.mkdir(mode=0o700)
    (documents / "letter").write_text("Hello …")
    (tmp_path / "link.sqlite-notify").symlink_to(documents)
    (tmp_path / "foreign.sqlite-notify").mkdir(mode=0o700)
    os.chown(tmp_path / "foreign.sqlite-notify", STRANGER, STRANGER)
    (tmp_path / "shared.sqlite-notify").mkdir()
    (tmp_path / "shared.sqlite-notify").chmod(0o777)
    for name in ("link", "foreign", "shared"):
        with capture_logs() as logs, closing(LocalNotifier(tmp_path / f"{name}.sqlite")) as notifier:
            async with notifier.listen() as event:
                notifier.notify()
                notifier.notify()
                assert not event.is_set()

        assert ["notifier.listen_failed"] == [line["event"] for line in logs], name
        assert [] == [path for path in (tmp_path / f"{name}.sqlite-notify").iterdir() if path.name != "letter"]
    assert "Hello …" == (documents / "letter").read_text()


async def test_only_sockets_are_removed(tmp_path: Path) -> None:
    """A socket that a killed process left is removed at the next notification, a file in the folder is not."""
    folder = tmp_path / "pipelet.sqlite-notify"
    folder.mkdir(mode=0o700)
    (folder / "notes").write_text("mine")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(folder / "killed"))

    with closing(LocalNotifier(tmp_path / "pipelet.sqlite")) as notifier:
        notifier.notify()

    assert ["notes"] == [path.name for path in folder.iterdir()]
