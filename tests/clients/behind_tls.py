"""A service as fal's Python clients want it: behind TLS, on a host that variables name."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers.proxy import proxy_to
from tests.support.servers.tcp import in_background, tls_context
from tests.support.service import GRADIENT, Service

FAL_IDS = """
max_input_images = 1
strength = 0.6
[fal_ids."fal-ai/z-image/turbo"]
models = []
[fal_ids."fal-ai/z-image/turbo/image-to-image"]
models = []
"""
"""What makes a service generate for ids of fal's, whatever its model is."""


@dataclass(frozen=True)
class BehindTLS:
    service: Service
    host: str
    """With the port, as clients reach it."""
    trusted: Path
    """The certificate of the authority that they have to trust."""

    def variables(self) -> dict[str, str]:
        """That lead fal's clients here."""
        return {
            "FAL_KEY": self.service.key,
            "FAL_QUEUE_RUN_HOST": f"{self.host}/fal",
            "FAL_RUN_HOST": f"{self.host}/fal/run",
            "SSL_CERT_FILE": str(self.trusted),
        }


@contextlib.contextmanager
def behind_tls(folder: Path, *, backend: str = GRADIENT) -> Iterator[BehindTLS]:
    """Running, with everything in `folder`."""
    trusted = folder / "authority.pem"
    with in_background(proxy_to(tls=tls_context(trusted, "127.0.0.1", "localhost"))) as proxy:
        host = f"127.0.0.1:{proxy.port}"
        with Service(folder, backend=backend, catalog=FAL_IDS, settings={"public_url": f"https://{host}"}) as service:
            proxy.to_port = service.port
            yield BehindTLS(service, host, trusted)


def seen_by(script: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The object that a script beside this file prints."""
    command = [sys.executable, str(Path(__file__).with_name(script))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
