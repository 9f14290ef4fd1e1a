"""Traces of requests, as a collector of OpenTelemetry receives them."""

import asyncio
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipelet import tracing
from pipelet.cli import MISCONFIGURED
from tests.support.servers.web import WebServer, whole
from tests.support.service import Service, environment
from tests.support.waiting import until


def collector() -> WebServer:
    return WebServer(lambda _: whole(b""))


def spans_of(server: WebServer) -> list[tuple[str, Any]]:
    """What it has received, as (service, span)."""
    assert {"/v1/traces"} >= {request.path for request in server.requests}
    sent = [ExportTraceServiceRequest.FromString(request.body) for request in server.requests]
    return [
        (_attributes(resource.resource)["service.name"], span)
        for message in sent
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(item: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in item.attributes}


async def test_a_request_is_one_trace_from_submit_to_the_stored_file(tmp_path: Path) -> None:
    """API and worker share it: the spans follow one another, under the root that the submit has made."""

    def submit_two() -> tuple[str, str]:
        ids = service.submit("one", batch_size=2), service.submit("other")
        for request_id in ids:
            service.result(request_id)
        return ids

    async with collector() as server:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        service = Service(tmp_path, settings={"trace_sample_ratio": "1"}, variables=variables)
        await asyncio.to_thread(service.__enter__)
        try:
            first, other = await asyncio.to_thread(submit_two)
            await until(lambda: 2 == sum("finish" == span.name for _, span in spans_of(server)))
        finally:  # what the API had not sent yet goes out when it stops
            await asyncio.to_thread(service.__exit__)
    found = spans_of(server)
    of_first = [(name, span) for name, span in found if span.trace_id == _trace_of(found, first)]
    spans = {span.name: span for _, span in of_first}
    root, attempt = spans["submit"], spans["attempt"]

    assert {"attempt", "encode", "finish", "generate", "store", "submit", "wait"} == spans.keys()
    assert {"pipelet-api": {"submit"}, "pipelet-worker": spans.keys() - {"submit"}} == _names_by_service(of_first)
    assert (b"", root.span_id) == (root.parent_span_id, attempt.parent_span_id)
    inner = [spans[name] for name in spans.keys() - {"submit", "attempt"}]
    assert {attempt.span_id} == {span.parent_span_id for span in inner}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    assert root.start_time_unix_nano <= min(span.start_time_unix_nano for span in spans.values())
    assert spans["generate"].end_time_unix_nano <= spans["encode"].start_time_unix_nano
    assert spans["encode"].end_time_unix_nano <= spans["store"].start_time_unix_nano
    assert {"pipelet.outcome": "succeeded", "pipelet.attempt": 1}.items() <= _attributes(attempt).items()
    assert {2} == {_attributes(spans[name])["pipelet.images"] for name in ("submit", "generate", "encode", "store")}
    assert _trace_of(found, other) != root.trace_id


def _trace_of(found: list[tuple[str, Any]], request_id: str) -> bytes:
    (trace_id,) = {span.trace_id for _, span in found if request_id == _attributes(span).get("pipelet.request_id")}
    return bytes(trace_id)


def _names_by_service(spans: list[tuple[str, Any]]) -> dict[str, set[str]]:
    return {service: {span.name for name, span in spans if name == service} for service, _ in spans}


async def test_api_and_workers_trace_the_same_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process decides by the id of the request alone."""
    ids = [f"request{number}" for number in range(40)]

    def record_all() -> None:
        with tracing.exporting("api", sample_ratio=0.5):
            for request_id in ids:
                tracing.record_root("submit", request_id, start=1.0, end=2.0)
        with tracing.exporting("worker", sample_ratio=0.5):
            for request_id in ids:
                with tracing.request_span("attempt", request_id):
                    pass

    async with collector() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        await asyncio.to_thread(record_all)
    by_service = {
        service: {_attributes(span)["pipelet.request_id"] for name, span in spans_of(server) if name == service}
        for service in ("api", "worker")
    }

    assert by_service["api"] == by_service["worker"]
    assert 0 < len(by_service["api"]) < 40


async def test_a_collector_that_is_away_delays_no_request_and_no_stop(tmp_path: Path) -> None:
    """Spans are lost then, and the log says why."""
    async with collector() as server:
        url = server.url
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}
    with Service(tmp_path, settings={"trace_sample_ratio": "1"}, variables=variables) as service:
        service.result(service.submit("one"))

        assert 0 == service.stop(within=25)
        assert "Connection refused" in service.log()


def test_tracing_without_opentelemetry_names_the_extra(tmp_path: Path) -> None:
    """As `pip install pipelet-server` leaves it: with the API that FastAPI needs, without the SDK and the exporter."""
    installed = Path(sysconfig.get_path("purelib"))
    (tmp_path / "opentelemetry").mkdir()
    for folder in (installed, installed / "opentelemetry"):
        for path in folder.iterdir():
            if path.name not in ("opentelemetry", "sdk", "exporter") and not path.name.endswith(".pth"):
                (tmp_path / path.relative_to(installed)).symlink_to(path)
    found = environment(data_dir=str(tmp_path / "data"), trace_sample_ratio="1")
    started = subprocess.run(
        [sys.executable, "-S", "-m", "pipelet", "serve", "--workers", "0", "--port", "0"],
        env=found | {"PYTHONPATH": f"{found['PYTHONPATH']}:{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert MISCONFIGURED == started.returncode
    assert "pip install 'pipelet-server[otel]'" in started.stderr
    assert "Traceback" not in started.stderr
