"""A request's status as it happens, from a real service and its worker."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import databases
from tests.support.jobs import APP
from tests.support.servers.postgres import Server
from tests.support.service import Service


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_stream_tells_the_whole_way(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Places that fall, then tasks that are done, then the end; the log in pieces that add up to the whole."""
    settings = {"log_level": "warning"}
    if database == "postgresql":
        server: Server = request.getfixturevalue("postgres_server")
        settings["database_url"] = databases.new_postgres_url(server)
    with Service(tmp_path, settings=settings) as service:
        service.wait_for_worker()
        ids = [service.submit(f"sleep=0.1 number {number}") for number in range(3)]
        told = _stream(service, ids[-1])
        polled = service.call("GET", f"/fal/queue/{APP}/requests/{ids[-1]}/status?logs=1")[1]

    states = [event["status"] for event in told]
    assert sorted(states, key=["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].index) == states
    assert {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"} == set(states)
    places = [event["queue_position"] for event in told if event["status"] == "IN_QUEUE"]
    assert sorted(places, reverse=True) == places
    assert len({event["statusMessages"]["message"] for event in told if event["status"] == "IN_PROGRESS"}) > 1
    assert polled == {**told[-1], "logs": [line for event in told for line in event["logs"]]}


def _stream(service: Service, request_id: str) -> list[dict[str, Any]]:
    url = f"{service.url}/fal/queue/{APP}/requests/{request_id}/status/stream?logs=1"
    request = urllib.request.Request(url, headers={"Authorization": f"Key {service.key}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return [json.loads(line[6:]) for line in response if line.startswith(b"data: ")]
