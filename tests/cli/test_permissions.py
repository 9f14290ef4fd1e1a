"""Who may read what is stored, with processes of real users, which takes root to start."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipelet.domain.errors import OperationalError
from pipelet.settings import load
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.data_dir import prepare_data_dir
from pipelet.wiring.store import migrate
from tests.support.databases import empty_sqlite
from tests.support.root import needs_root
from tests.support.service import environment

pytestmark = needs_root

API, WORKER, GROUP = 10_001, 10_002, 20_001
"""Ids without names, as in a container."""

_MEMBER = """
import asyncio, encodings.ascii, sys
from pipelet import logs, settings
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.data_dir import prepare_data_dir
from pipelet.wiring.store import open_store
from tests.support.jobs import make_job

async def main(mine, other):
    logs.configure(format="json", level="info")
    chosen = settings.load()
    prepare_data_dir(chosen)
    async with open_store(chosen) as store, store.subscribe_work() as event:
        blobs = open_blobs(chosen)
        await blobs.put(f"outputs/app/{mine}", mine.encode(), "image/png")
        if other:
            assert other.encode() == await blobs.get(f"outputs/app/{other}")
            await store.jobs.submit(make_job())
        else:
            print("listens", flush=True)
            await asyncio.wait_for(event.wait(), 20)
            await store.jobs.submit(make_job())
            assert 2 == sum(counts.queued for counts in (await store.queue.counts()).values())

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can enter, as pytest's own cannot be."""
    made = Path(tempfile.mkdtemp(prefix="pipelet-permissions-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def as_user(user: int, code: str, *arguments: str, settings: Mapping[str, str], umask: int) -> "subprocess.Popen[str]":
    """Run the imports of `code` as root, since other users may not be able to read Python, and the rest as `user`."""
    imports, _, rest = code.partition("\n\n")
    switch = f"\nimport os\nos.setgroups([{GROUP}])\nos.setgid({user})\nos.setuid({user})\nos.umask({umask})\n"
    command = [sys.executable, "-c", imports + switch + rest, *arguments]
    env = environment({"PYTHONDONTWRITEBYTECODE": "1"}, **settings)
    return subprocess.Popen(command, cwd="/", env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_users_of_a_group_share_a_data_directory(folder: Path) -> None:
    """An API and a worker under users of their own see each other's requests and files, and wake each other."""
    data = folder / "data"
    data.mkdir()
    (data / "pipelet.sqlite").write_bytes(empty_sqlite())
    for path in (data, data / "pipelet.sqlite"):
        os.chown(path, API, API)
    settings = {"data_dir": str(data), "data_group": str(GROUP)}
    with as_user(API, _MEMBER, "api", "", settings=settings, umask=0o022) as api:
        assert api.stdout is not None
        assert api.stdout.readline() == "listens\n", api.communicate()[1]
        with as_user(WORKER, _MEMBER, "worker", "api", settings=settings, umask=0o077) as worker:
            assert "" == worker.communicate()[1]
        assert "" == api.communicate()[1].partition("Traceback")[2]

    assert (0, 0) == (api.returncode, worker.returncode)
    for path in (data, *data.rglob("*")):
        wanted = 0o2770 if path.is_dir() else 0o660
        assert (GROUP, wanted) == (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)), path


def test_another_user_is_refused_before_anything_is_written(folder: Path) -> None:
    """What root would write into the folder of a service, the service could not read."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "pipelet.sqlite").write_bytes(empty_sqlite())
    for path in (data, data / "pipelet.sqlite"):
        os.chown(path, API, API)
    command = [sys.executable, "-m", "pipelet", "keys", "create", "ann"]
    env = environment(data_dir=str(data))
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    assert 3 == done.returncode, done.stderr
    assert f"belongs to the user #{API}" in done.stderr
    assert f"sudo -u '#{API}' pipelet" in done.stderr
    chosen = load(data_dir=data)
    for use in (prepare_data_dir, open_blobs, migrate):
        with pytest.raises(OperationalError, match=f"belongs to the user #{API}"):
            use(chosen)
    assert ["pipelet.sqlite"] == [path.name for path in data.iterdir()]
    (folder / "mine").mkdir()
    (folder / "link").symlink_to(folder / "mine")
    os.lchown(folder / "link", API, API)
    with pytest.raises(OperationalError, match=f"belongs to the user #{API}"):
        prepare_data_dir(load(data_dir=folder / "link"))


def test_a_group_must_exist_and_have_the_user() -> None:
    """Both are said with what to do."""
    code = """
from pipelet.domain.errors import OperationalError
from pipelet.system.permissions import permissions_for

for group in ("no-such-group", "0"):
    try:
        permissions_for(group)
    except OperationalError as error:
        print(error)
"""
    with as_user(API, code, settings={}, umask=0o022) as process:
        said = process.communicate()[0].splitlines()

    assert ["There is no group no-such-group.", f"The user #{API} is not in the group 0,"] == [
        line[: line.index(mark) + 1] for line, mark in zip(said, ".,", strict=True)
    ]


def test_a_folder_that_cannot_be_entered_is_another_users(folder: Path) -> None:
    """Its owner is named, in place of a permission that is missing."""
    (folder / "data").mkdir(mode=0o700)
    os.chown(folder / "data", API, API)
    code = """
import sys
from pathlib import Path
from pipelet.domain.errors import OperationalError
from pipelet.system.permissions import PRIVATE
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.store import migrate, open_store

try:
    PRIVATE.refuse_foreign(Path(sys.argv[1]))
except OperationalError as error:
    print(error)
"""
    with as_user(WORKER, code, str(folder / "data" / "pipelet.sqlite"), settings={}, umask=0o022) as process:
        assert f"data belongs to the user #{API}, who could not read" in process.communicate()[0]
