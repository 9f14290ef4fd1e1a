import asyncio
import json
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pipelet.cli.doctor import Finding, ok, worst_of
from pipelet.cli.doctor.checks import _database_space
from pipelet.cli.doctor.engine_checks import model_is_there, models_are_there
from pipelet.cli.doctor.run import run_checks
from pipelet.domain.catalog import ModelConfig
from pipelet.settings import load
from pipelet.store.migrations import HEAD
from pipelet.system.permissions import PRIVATE
from pipelet.wiring.secret_files import signing_key
from tests.support.databases import empty_sqlite
from tests.support.disks import filled, small_disk
from tests.support.fork_server.children import WITH_TORCH
from tests.support.servers.s3 import BUCKET, S3Server
from tests.support.servers.tcp import in_background
from tests.support.servers.web import WebServer, whole
from tests.support.service import REPOSITORY, Service, pipelet

DEMO = REPOSITORY / "src" / "pipelet" / "engine" / "demo_model"


def look(service: Service, *arguments: str, **settings: str) -> dict[str, Any]:
    return _by_name(service.run("doctor", "--json", *arguments, timeout=200, **settings).stdout)


def look_at(folder: Path, *arguments: str, variables: dict[str, str] | None = None, **settings: str) -> dict[str, Any]:
    done = pipelet("doctor", "--json", *arguments, cwd=folder, timeout=200, variables=variables, **settings)
    return _by_name(done.stdout)


def _by_name(output: str) -> dict[str, Any]:
    return {check["name"]: check for check in json.loads(output)["checks"]}


def test_a_healthy_installation_passes(service: Service) -> None:
    """Everything is looked at, nothing fails, and the worker that is there is told of."""
    done = service.run("doctor", timeout=200)

    assert done.returncode == 0, done.stdout
    assert "fail " not in done.stdout
    assert "gradient on cpu" in done.stdout
    assert f"revision {HEAD}" in done.stdout


def test_a_certificate_that_cannot_be_used_is_found(tmp_path: Path) -> None:
    """A file that is no certificate fails; without TLS the client that needs it is named."""
    (tmp_path / "key.pem").touch()
    plain = look_at(tmp_path, model="gradient", catalog=str(_catalog(tmp_path)))["tls"]
    given: dict[str, Any] = {"tls_cert": str(tmp_path / "key.pem"), "tls_key": str(tmp_path / "key.pem")}
    wrong = look_at(tmp_path, model="gradient", catalog=str(_catalog(tmp_path)), **given)["tls"]

    assert ("ok", True) == (plain["state"], "fal's Python client" in plain["detail"])
    assert ("fail", True) == (wrong["state"], "key.pem" in wrong["detail"])


def test_it_changes_nothing(tmp_path: Path) -> None:
    """A folder without an installation is as empty afterwards."""
    found = look_at(tmp_path, port="0")

    assert list(tmp_path.iterdir()) == []
    assert found["database"]["state"] == "ok"
    assert found["engine"]["state"] == "ok"
    assert "torch" in found["engine"]["detail"]


def test_every_failure_says_how_to_fix_it(tmp_path: Path) -> None:
    """A data directory that cannot be, a damaged model and a taken port are told in one go."""
    (tmp_path / "file").touch()
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    shutil.rmtree(model / "vae")
    with in_background(WebServer(lambda _: whole(b"", "501 Not Implemented"))) as other:
        port = str(other.port)
        settings: dict[str, Any] = {"data_dir": str(tmp_path / "file" / "data"), "model": str(model), "port": port}

        variables = {WITH_TORCH: "1"}  # a new interpreter imports it in the test above

        done = pipelet("doctor", "--json", cwd=tmp_path, timeout=200, variables=variables, **settings)

    found = _by_name(done.stdout)
    assert done.returncode == 3
    assert {name for name, check in found.items() if check["state"] == "fail"} == {"data directory", "model", "service"}
    assert "vae" in found["model"]["detail"]
    assert port in found["service"]["detail"]
    assert all(check["fix"] for check in found.values() if check["state"] != "ok")


def test_wrong_settings_are_listed_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    """All of them at once."""
    found = look_at(tmp_path, port="http", lease_seconds="-1")

    assert found["settings"]["state"] == "fail"
    assert "PIPELET_PORT" in found["settings"]["detail"]
    assert "PIPELET_LEASE_SECONDS" in found["settings"]["detail"]
    assert found["packages"]["state"] == "ok"


def test_an_engine_that_cannot_be_imported_fails(tmp_path: Path) -> None:
    """What stopped the import is quoted."""
    (tmp_path / "catalog.toml").write_text('[models.broken]\nsource = "none"\nbackend = "no_such_module:Backend"\n')

    found = look_at(tmp_path, catalog=str(tmp_path / "catalog.toml"), model="broken", port="0")

    assert found["engine"]["state"] == "fail"
    assert "No module named 'no_such_module'" in found["engine"]["detail"]


def test_a_model_of_the_hub_that_is_not_here_is_a_warning() -> None:
    """It will be downloaded: the command that does so ahead is named."""
    found = model_is_there(ModelConfig(name="hub", source="owner/no-such-model"))

    assert found.state == "warn"
    assert "owner/no-such-model" in found.fix


def test_of_several_models_each_is_looked_at() -> None:
    """The check is as good as the worst of them, names all, and has one fix where they need the same."""
    found = models_are_there([ModelConfig(name=source, source=source) for source in ("package:demo", "o/a")])
    same = worst_of([ok("a works"), Finding("fail", "b", "Install it."), Finding("warn", "c", "Install it.")])

    assert "warn" == found.state
    assert ["package:demo in ", "o/a is a hub id,"] == [line[:16] for line in found.detail.splitlines()]
    assert Finding("fail", "a works\nb\nc", "Install it.") == same


def test_a_local_key_that_is_none_fails(tmp_path: Path) -> None:
    """So is one that others can read a warning."""
    (tmp_path / ".pipelet").mkdir()
    key = tmp_path / ".pipelet" / "local-key"
    key.write_text("pk_" + "a" * 43)
    key.chmod(0o644)
    readable = look_at(tmp_path, port="0", model="gradient", catalog=str(_catalog(tmp_path)))
    key.write_text("secret")
    broken = look_at(tmp_path, port="0", model="gradient", catalog=str(_catalog(tmp_path)))

    assert readable["local key"]["state"] == "warn"
    assert "chmod 600" in readable["local key"]["fix"]
    assert broken["local key"]["state"] == "fail"


def test_a_service_that_does_not_take_the_key_is_a_warning(service: Service) -> None:
    """The service is there; the key is not its own."""
    found = look(service, "--key", "pk_" + "a" * 43)

    assert found["service"]["state"] == "warn"
    assert "key" in found["service"]["fix"]


def test_a_url_where_nothing_responds_fails(service: Service) -> None:
    """It was named, so it should be there."""
    found = look(service, "--url", "http://127.0.0.1:1")

    assert found["service"]["state"] == "fail"


def test_a_service_is_found_without_a_key(service: Service, tmp_path: Path) -> None:
    """Without a key the service is reported all the same, and no key is called wrong."""
    found = look_at(tmp_path, api_url=service.url, model="gradient", catalog=str(_catalog(tmp_path)))

    assert found["service"]["state"] == "ok", found
    assert "runs at" in found["service"]["detail"]


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    """Of the database and of the files: the cure is space, and not permissions."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        data = disk / "data"
        (data / "files" / ".incoming").mkdir(parents=True)
        (data / "pipelet.sqlite").write_bytes(empty_sqlite())
        signing_key(data / "signing-key", PRIVATE)
        with filled(disk):
            settings: dict[str, Any] = {"data_dir": str(data), "port": "0", "metrics_address": "192.0.2.1:9464"}
            found = look_at(tmp_path, model="gradient", catalog=str(_catalog(tmp_path)), **settings)

    for name in ("disk", "database", "files"):
        assert found[name]["state"] == "fail", found
        assert "pace" in found[name]["detail"] + found[name]["fix"]
        assert "writable" not in found[name]["detail"] + found[name]["fix"]
    assert "PIPELET_METRICS_ADDRESS" in found["metrics"]["fix"]


def test_checks_that_hang_hold_up_no_other() -> None:
    """All begin at the same time, and what has not ended within the bound is told as a failure."""
    hangs = threading.Event()

    def hang() -> Finding:
        hangs.wait()
        return ok("too late")

    plan = [("one", hang), ("two", lambda: ok("well")), ("three", hang)]
    began = time.monotonic()
    found = asyncio.run(run_checks(plan, limit_seconds=0.2))
    hangs.set()

    assert time.monotonic() - began < 2
    assert {"one": "fail", "two": "ok", "three": "fail"} == {name: each.state for name, each in found.items()}
    assert "no result within 0.2 s" in found["one"].detail


def test_files_on_s3_are_looked_at(tmp_path: Path, s3_server: S3Server) -> None:
    """A bucket that can be written passes; what is wrong with one that cannot is named."""
    settings = {"port": "0", "model": "gradient", "catalog": str(_catalog(tmp_path))}

    good = look_at(tmp_path, variables=s3_server.variables(), blobs_url=f"s3://{BUCKET}/doctor", **settings)
    missing = look_at(tmp_path, variables=s3_server.variables(), blobs_url="s3://missing", **settings)

    assert ("ok", f"s3://{BUCKET}/doctor is writable") == (good["files"]["state"], good["files"]["detail"])
    assert missing["files"]["state"] == "fail"
    assert "has no bucket missing" in missing["files"]["detail"]


def _catalog(folder: Path) -> Path:
    catalog = folder / "catalog.toml"
    catalog.write_text('[models.gradient]\nsource = "none"\nbackend = "tests.support.backends.gradient:Gradient"\n')
    return catalog


def test_free_pages_of_the_database_are_named(tmp_path: Path) -> None:
    """With the command that gives them back; what is used again soon is not worth a word."""
    with closing(sqlite3.connect(tmp_path / "pipelet.sqlite")) as database:
        database.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(3000000)); DROP TABLE t;")
    chosen = load(data_dir=tmp_path)
    large, usual = _database_space(chosen, "here", min_megabytes=2.0), _database_space(chosen, "here")

    assert ("warn", "here; 3 of its 3 MB are free pages") == (large.state, large.detail)
    assert f"sqlite3 {tmp_path}/pipelet.sqlite VACUUM" in large.fix
    assert "ok" == usual.state
