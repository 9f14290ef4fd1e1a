"""The sockets that wake other processes, where other users of the machine are in the way."""

import os
import socket
from contextlib import closing
from pathlib import Path

from structlog.testing import capture_logs

from pipelet.store.bell import Bell
from tests.root import needs_root
from tests.waiting import until

STRANGER = 65534


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """A listener is woken also where its socket's path has more characters than the system takes."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    with closing(Bell(deep / "pipelet.sqlite")) as bell:
        async with bell.listen() as event:
            bell.ring()

            await until(event.is_set, within=5)
    assert [] == list((deep / "pipelet.sqlite-notify").iterdir())


@needs_root
async def test_a_folder_of_others_is_not_used(tmp_path: Path) -> None:
    """A link, a folder of another user and one that others can write to cost wake-ups, no file; it is said once."""
    documents = tmp_path / "documents"
    documents.mkdir(mode=0o700)
    (documents / "letter").write_text("Dear …")
    (tmp_path / "link.sqlite-notify").symlink_to(documents)
    (tmp_path / "foreign.sqlite-notify").mkdir(mode=0o700)
    os.chown(tmp_path / "foreign.sqlite-notify", STRANGER, STRANGER)
    (tmp_path / "shared.sqlite-notify").mkdir()
    (tmp_path / "shared.sqlite-notify").chmod(0o777)
    for name in ("link", "foreign", "shared"):
        with capture_logs() as logs, closing(Bell(tmp_path / f"{name}.sqlite")) as bell:
            async with bell.listen() as event:
                bell.ring()
                bell.ring()
                assert not event.is_set()

        assert ["bell.deaf"] == [line["event"] for line in logs], name
        assert [] == [path for path in (tmp_path / f"{name}.sqlite-notify").iterdir() if path.name != "letter"]
    assert "Dear …" == (documents / "letter").read_text()


async def test_only_sockets_are_removed(tmp_path: Path) -> None:
    """A socket that a killed process left is removed at the next ring, a file in the folder is not."""
    folder = tmp_path / "pipelet.sqlite-notify"
    folder.mkdir(mode=0o700)
    (folder / "notes").write_text("mine")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(folder / "killed"))

    with closing(Bell(tmp_path / "pipelet.sqlite")) as bell:
        bell.ring()

    assert ["notes"] == [path.name for path in folder.iterdir()]
