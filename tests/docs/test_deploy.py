"""What deploy/ gives to operators."""

import re
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from pipelet.domain.jobs.progress import Progress
from pipelet.settings import Settings
from pipelet.settings.aws import AwsSettings
from pipelet.store.postgres import open_postgres
from tests.docs.reference import DOCS
from tests.support.databases import new_postgres_url
from tests.support.jobs import APP, claim_request, make_job, success
from tests.support.servers.postgres import Server

DEPLOY = DOCS.parent / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
NOW = 1_000_000.0


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_settings_that_are_named_exist() -> None:
    """No file names a setting that there is not."""
    known = {f"PIPELET_{name.upper()}" for name in Settings.model_fields}
    known |= {f"AWS_{name.upper()}" for name in AwsSettings.model_fields}
    text = "".join(path.read_text() for path in FILES)

    assert set() == set(re.findall(r"\b(?:PIPELET|AWS)_[A-Z_0-9]+[A-Z]\b", text)) - known


def test_commands_have_their_flags() -> None:
    """Every `pipelet …` that a file runs is one that the command line takes."""
    from pipelet.cli import build

    compose = documents("compose.yaml")[0]["services"]
    commands = [compose[name]["command"].split() for name in ("api", "worker")]
    for name in ("api.yaml", "worker.yaml"):
        pod = documents(f"kubernetes/{name}")[0]["spec"]["template"]["spec"]
        commands += [container["args"] for container in [*pod.get("initContainers", []), *pod["containers"]]]
    for path in FILES:
        commands += [
            line.split() for line in re.findall(r"^ExecStart=\S+/pipelet (.*)$", path.read_text(), re.MULTILINE)
        ]

    assert 8 == len(commands)
    for command in commands:
        build(command).parse_args(command, exit_on_error=False, print_error=False)


def test_grace_times_fit() -> None:
    """The supervisor of each deployment waits longer for the end of a worker than the worker itself does."""
    compose = documents("compose.yaml")[0]["services"]["worker"]
    assert f"{compose['environment']['PIPELET_SHUTDOWN_GRACE_SECONDS'] + 15}s" == compose["stop_grace_period"]

    grace = documents("kubernetes/settings.yaml")[0]["data"]["PIPELET_SHUTDOWN_GRACE_SECONDS"]
    pod = documents("kubernetes/worker.yaml")[0]["spec"]["template"]["spec"]
    assert int(grace) + 15 == pod["terminationGracePeriodSeconds"]


def test_manifests_name_one_another() -> None:
    """What a manifest refers to is in another one."""
    every = [
        each for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for each in documents(f"kubernetes/{path.name}")
    ]
    there = {(each["kind"], each["metadata"]["name"]) for each in every if "metadata" in each}
    scaled = documents("kubernetes/keda.yaml")[1]["spec"]
    secret = documents("kubernetes/keda.yaml")[0]["spec"]["secretTargetRef"][0]

    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in there
    assert ("TriggerAuthentication", scaled["triggers"][0]["authenticationRef"]["name"]) in there
    assert secret["key"] in documents("kubernetes/settings.yaml")[1]["stringData"]
    for name in ("api.yaml", "worker.yaml"):
        for container in documents(f"kubernetes/{name}")[0]["spec"]["template"]["spec"]["containers"]:
            [settings, secrets] = container["envFrom"]
            assert ("ConfigMap", settings["configMapRef"]["name"]) in there
            assert ("Secret", secrets["secretRef"]["name"]) in there


def test_metrics_without_a_key_stay_inside() -> None:
    """The API tells them at an address of their own, whose port nothing leads to from outside."""
    compose = documents("compose.yaml")[0]["services"]["api"]
    pod, service = documents("kubernetes/api.yaml")
    [variable] = pod["spec"]["template"]["spec"]["containers"][0]["env"]

    assert "0.0.0.0:9464" == compose["environment"]["PIPELET_METRICS_ADDRESS"] == variable["value"]
    assert "PIPELET_METRICS_ADDRESS" == variable["name"]
    assert ["8000:8000"] == compose["ports"]
    assert [{"port": 80, "targetPort": 8000}] == service["spec"]["ports"]
    assert "9464" == pod["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").iterdir()), ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    """systemd finds nothing to say about a unit whose program is installed."""
    here = tmp_path / unit.name.replace("@", "@0")
    here.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))

    verified = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True)

    assert (0, "") == (verified.returncode, verified.stderr)


@pytest.fixture
def url(postgres_server: Server) -> str:
    return new_postgres_url(postgres_server)


async def seconds_for_keda(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        query = documents("kubernetes/keda.yaml")[1]["spec"]["triggers"][0]["metadata"]["query"]
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_keda_counts_the_seconds_of_what_waits_and_runs(url: str) -> None:
    """Its query returns work at the pace of the latest images, what is generated already taken off."""
    async with open_postgres(url, pool_size=2) as store:
        assert 0 == await seconds_for_keda(url)

        for _ in range(3):  # 8 megapixel-steps in half a second
            generated = await store.jobs.submit(make_job(width=1000, height=1000))
            lease = await store.leases.claim(claim_request())
            assert lease is not None
            assert await store.leases.finish(lease, success(f"outputs/{generated.id}.png"), NOW + 1)
        assert 0 == await seconds_for_keda(url)

        for _ in range(2):
            await store.jobs.submit(make_job(width=2000, height=2000, batch_size=10))
        assert 40 == await seconds_for_keda(url)

        lease = await store.leases.claim(claim_request(APP))
        assert lease is not None
        await store.leases.report_progress(lease, Progress(5, 10))
        assert 30 == await seconds_for_keda(url)


async def test_keda_asks_for_no_more_workers_than_requests(url: str) -> None:
    """One request that takes an hour needs one worker; its value is what one worker is to generate."""
    trigger = documents("kubernetes/keda.yaml")[1]["spec"]["triggers"][0]["metadata"]
    async with open_postgres(url, pool_size=2) as store:
        await store.jobs.submit(make_job(width=4000, height=4000, batch_size=16, num_inference_steps=100))

        assert int(trigger["targetQueryValue"]) == await seconds_for_keda(url)

        await store.queue.pause(APP, NOW)
        assert 0 == await seconds_for_keda(url)
