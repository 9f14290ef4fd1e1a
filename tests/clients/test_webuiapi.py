"""`webuiapi`, a client of AUTOMATIC1111's API, unmodified."""

import json
import subprocess
import sys
from pathlib import Path

from tests.clients.installed import HERE, with_clients
from tests.support.service import Service


def test_images_progress_and_refusals(tmp_path: Path) -> None:
    """Text to image, lists, progress and interrupt; a refusal raises with its reason."""
    variables = with_clients()
    with Service(tmp_path) as service:
        done = subprocess.run(
            [sys.executable, str(HERE / "webuiapi_calls.py"), "127.0.0.1", str(service.port)],
            env=variables | {"KEY": service.key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert 0 == done.returncode, done.stderr
    seen = json.loads(done.stdout)

    assert (["gradient"], ["Default"]) == (seen["models"], seen["samplers"])
    assert ([[96, 64]] * 2, [5, 6]) == (seen["sizes"], seen["seeds"])
    assert "image-edit" in seen["no_edit"]
    assert (0.0, {}) == (seen["idle"], seen["interrupt"])
    assert "enable_hr" in seen["refused"]
    assert "pipelet_" in seen["bad_key"]["detail"]
