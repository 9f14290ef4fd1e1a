"""The page in a second engine of browsers: one walk through it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.browsers import FIREFOX, npm_package, what_is_missing
from tests.support.browsers.accounts import Account
from tests.support.installed import NODE
from tests.support.service import Service


@pytest.fixture
def firefox() -> str:
    assert FIREFOX is not None, what_is_missing()
    return FIREFOX


def test_firefox_signs_in_and_generates(service: Service, account: Account, firefox: str, tmp_path: Path) -> None:
    """From the login to the image, without an error in its console."""
    (tmp_path / "node_modules").symlink_to(npm_package("puppeteer-core").parent)
    script = shutil.copy(Path(__file__).with_name("walk.mjs"), tmp_path)
    done = subprocess.run(
        [str(NODE), script, firefox, service.url],
        env=os.environ | {"HOME": str(tmp_path), "PIPELET_API_KEY": account.key},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert [] == seen["faults"]
    assert seen["width"] > 0
    assert "/ui/#/?request=" in seen["address"]
