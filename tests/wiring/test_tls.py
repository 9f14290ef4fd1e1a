"""The certificate that the service makes for itself, and one that an operator gives."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings
from pipelet.system.certificates import Certificate
from pipelet.wiring.data_dir import prepare_data_dir, readable_by_others
from pipelet.wiring.tls import ServerCertificate, ensure_certificate


def given(folder: Path, **settings: object) -> Settings:
    chosen = Settings(data_dir=folder, tls=True, **settings)  # type: ignore[arg-type]
    prepare_data_dir(chosen)
    return chosen


def write_pair(folder: Path, authority: trustme.CA) -> tuple[Path, Path]:
    """As an operator gets them from an authority."""
    issued = authority.issue_cert("gpu.example.com")
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return certificate, key


def test_what_the_first_start_makes(tmp_path: Path) -> None:
    """A key that only its owner reads, a certificate for this machine that lives 397 days, and a bundle with both it
    and the roots that this machine trusts."""
    chosen = given(tmp_path, tls_name="gpu.lan, 192.168.1.20", host="10.1.2.3")
    now = datetime.now(UTC)
    ensure_certificate(chosen, now)

    files = chosen.tls_files
    made = Certificate.parse(files.certificate.read_text())
    assert {"localhost", "127.0.0.1", "::1", "gpu.lan", "192.168.1.20", "10.1.2.3"} <= made.names
    assert timedelta(days=396) < made.not_after - now < timedelta(days=397)
    assert 0o600 == files.key.stat().st_mode & 0o777
    assert [] == readable_by_others(chosen)
    bundle = files.ca_bundle.read_text()
    assert made.pem in bundle
    assert bundle.count("BEGIN CERTIFICATE") > 1


def test_it_is_kept_until_it_has_to_be_renewed(tmp_path: Path) -> None:
    """A later start keeps it. Its last 30 days, another name, or a missing file make a new one."""
    chosen, now = given(tmp_path), datetime.now(UTC)

    def made(settings: Settings = chosen, at: datetime = now) -> str:
        ensure_certificate(settings, at)
        return settings.tls_files.certificate.read_text()

    first = made()
    assert first == made() == made(at=now + timedelta(days=366))
    second = made(at=now + timedelta(days=368))
    assert second != first
    third = made(given(tmp_path, tls_name="gpu.lan"), now + timedelta(days=368))
    assert third != second
    chosen.tls_files.key.unlink()
    assert third != made(at=now + timedelta(days=368))


async def test_a_replaced_certificate_is_used(tmp_path: Path) -> None:
    """An operator's own certificate is read again, so that it can be renewed under a running service."""
    authority = trustme.CA()
    certificate, key = write_pair(tmp_path, authority)
    loaded = ServerCertificate(given(tmp_path / "data", tls_cert=certificate, tls_key=key))
    before = served(loaded.context, authority)
    write_pair(tmp_path, authority)
    await loaded.refresh()

    assert served(loaded.context, authority) != before


def served(context: ssl.SSLContext, authority: trustme.CA) -> bytes:
    """The certificate that a client of this context sees, without a network."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname="gpu.example.com")
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""


def test_a_pair_that_cannot_be_used_is_refused_with_its_names(tmp_path: Path) -> None:
    """A key of another certificate, no certificate, and a file that is missing."""
    certificate, key = write_pair(tmp_path, trustme.CA())
    trustme.CA().issue_cert("b.example").private_key_pem.write_to_path(key)
    with pytest.raises(OperationalError, match=r"cannot be used with the key .*privkey.pem.*PIPELET_TLS_KEY"):
        ServerCertificate(given(tmp_path / "data", tls_cert=certificate, tls_key=key))
    for wrong in (key, tmp_path / "missing.pem"):
        with pytest.raises(OperationalError, match=r"Reading the certificate .* failed"):
            ServerCertificate(given(tmp_path / "data", tls_cert=wrong, tls_key=key))


def test_files_that_do_not_belong_together_are_made_again(tmp_path: Path) -> None:
    """Such as two processes of a version without a lock left them: the next start is not refused for good."""
    chosen, other = given(tmp_path / "a"), given(tmp_path / "b")
    for settings in (chosen, other):
        ensure_certificate(settings, datetime.now(UTC))
    for name in ("key", "ca_bundle"):
        ensure_certificate(chosen, datetime.now(UTC))
        getattr(chosen.tls_files, name).write_bytes(getattr(other.tls_files, name).read_bytes())
        ServerCertificate(chosen)

        assert chosen.tls_files.certificate.read_text() in chosen.tls_files.ca_bundle.read_text()


def test_processes_that_start_together_agree_on_a_certificate(tmp_path: Path) -> None:
    """Each can use what it finds, and all find the same."""
    chosen = given(tmp_path)
    with ThreadPoolExecutor(8) as threads:  # each opens the lock file itself, as a process does
        loaded = list(threads.map(lambda _: ServerCertificate(chosen)._loaded, range(8)))

    assert {chosen.tls_files.certificate.read_text()} == set(loaded)


@pytest.mark.parametrize("host", ["0:0:0:0:0:0:0:2", "fe80::1%lo"])
def test_an_address_in_its_long_form_makes_no_new_certificate(tmp_path: Path, host: str) -> None:
    """Or each start, and each hour, would replace the one that clients trust."""
    chosen = given(tmp_path, host=host)
    ensure_certificate(chosen, datetime.now(UTC))
    made = chosen.tls_files.certificate.read_text()
    ensure_certificate(chosen, datetime.now(UTC))

    assert chosen.tls_files.certificate.read_text() == made


def test_every_folder_of_files_is_private(tmp_path: Path) -> None:
    """Also of files that are not in the data directory, as `PIPELET_BLOBS_URL` has them."""
    chosen = given(tmp_path / "data", blobs_url=f"file://{tmp_path}/files")
    for name in ("inputs", "outputs", "thumbnails", "uploads"):
        (tmp_path / "files" / name).mkdir(parents=True)
        (tmp_path / "files" / name).chmod(0o755)
    assert 4 == len(readable_by_others(chosen))
    prepare_data_dir(chosen)

    assert [] == readable_by_others(chosen)


def test_a_start_that_stops_in_between_leaves_no_certificate(tmp_path: Path) -> None:
    """The certificate is written last, and an old one is removed first: what is there belongs together, and the next
    start makes what is missing."""
    chosen, now = given(tmp_path), datetime.now(UTC)
    ensure_certificate(chosen, now)
    files = chosen.tls_files
    key = files.key.read_bytes()
    files.ca_bundle.unlink()
    files.ca_bundle.mkdir()  # it is written after the key and before the certificate
    with pytest.raises(OperationalError, match=r"Writing the certificate in .* failed"):
        ensure_certificate(chosen, now)

    assert key != files.key.read_bytes()
    assert not files.certificate.exists()
    files.ca_bundle.rmdir()
    ServerCertificate(chosen)
    assert files.certificate.read_text() in files.ca_bundle.read_text()
