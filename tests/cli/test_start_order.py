"""The order in which `pipelet serve` starts: its ports, the certificate, the database."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelet.cli import MISCONFIGURED
from pipelet.settings import Settings
from pipelet.wiring.data_dir import prepare_data_dir
from pipelet.wiring.tls import ensure_certificate
from tests.support.service import pipelet


@pytest.mark.parametrize("taken", ["PIPELET_PORT", "PIPELET_METRICS_ADDRESS"])
def test_a_service_whose_port_is_taken_leaves_the_certificate_alone(tmp_path: Path, taken: str) -> None:
    """It asks for another name, and would make a new one, which clients of the service that runs do not trust."""
    chosen = prepared(tmp_path / "data")
    ensure_certificate(chosen, datetime.now(UTC))
    before = content_of(chosen)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        address = str(port) if taken == "PIPELET_PORT" else f"127.0.0.1:{port}"
        variables = {"PIPELET_PORT": "0", taken: address}
        done = pipelet(
            *("serve", "--tls", "--tls-name", "gpu.lan"),
            cwd=tmp_path,
            variables=variables,
            data_dir=str(chosen.data_dir),
        )

    assert MISCONFIGURED == done.returncode
    assert f"{port} is taken, perhaps by another Pipelet" in done.stderr
    assert before == content_of(chosen)
    assert not chosen.database_path.exists()


def prepared(folder: Path) -> Settings:
    """Of a service with TLS, whose data directory is there."""
    chosen = Settings(data_dir=folder, tls=True)  # type: ignore[call-arg]
    prepare_data_dir(chosen)
    return chosen


def content_of(chosen: Settings) -> dict[str, bytes]:
    """Of the files of the certificate."""
    return {file.name: file.read_bytes() for file in chosen.tls_files.certificate.parent.iterdir()}


def test_a_service_without_its_certificate_changes_no_database(tmp_path: Path) -> None:
    """It says why, and ends before it makes tables."""
    chosen = prepared(tmp_path / "data")
    (chosen.data_dir / "tls").write_text("a file in the place of the folder")
    done = pipelet("serve", "--tls", "--port", "0", cwd=tmp_path, data_dir=str(chosen.data_dir))

    assert MISCONFIGURED == done.returncode
    assert f"Writing the certificate in {chosen.data_dir / 'tls'} failed" in done.stderr
    assert "" == done.stdout
    assert not chosen.database_path.exists()
