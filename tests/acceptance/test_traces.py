"""Traces of requests, as a collector of OpenTelemetry receives them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipelet import tracing
from pipelet.domain.errors import OperationalError
from tests.support.service import Service
from tests.support.waiting import eventually


class Collector(ThreadingHTTPServer):
    """Receives spans over OTLP.

    Attributes:
        spans: all so far, as (service, span).
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert "/v1/traces" == self.path
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in sent.resource_spans:
            service = _attributes(resource.resource)["service.name"]
            self.server.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def _attributes(item: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in item.attributes}


def test_a_request_is_one_trace_from_submit_to_the_stored_file(tmp_path: Path) -> None:
    """API and worker share it: the spans follow one another, under the root that the submit has made."""
    with collecting() as collector:
        settings = {"trace_sample_ratio": "1"}
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with Service(tmp_path, settings=settings, variables=variables) as service:
            first, other = service.submit("one", batch_size=2), service.submit("other")
            service.result(first)
            service.result(other)
            eventually(lambda: 2 == sum("finish" == span.name for _, span in collector.spans), why="both have ended")
        # What the API had not sent yet goes out when it stops.
        of_first = [(name, span) for name, span in collector.spans if span.trace_id == _trace_of(collector, first)]
        spans = {span.name: span for _, span in of_first}
        root, attempt = spans["submit"], spans["attempt"]

        assert {"attempt", "encode", "finish", "generate", "store", "submit", "wait"} == spans.keys()
        assert {"pipelet-api": {"submit"}, "pipelet-worker": spans.keys() - {"submit"}} == _names_by_service(of_first)
        assert (b"", root.span_id) == (root.parent_span_id, attempt.parent_span_id)
        assert {attempt.span_id} == {
            span.parent_span_id for name, span in spans.items() if name not in ("submit", "attempt")
        }
        assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
        assert root.start_time_unix_nano <= min(span.start_time_unix_nano for span in spans.values())
        assert spans["generate"].end_time_unix_nano <= spans["encode"].start_time_unix_nano
        assert spans["encode"].end_time_unix_nano <= spans["store"].start_time_unix_nano
        assert {"pipelet.outcome": "succeeded", "pipelet.attempt": 1}.items() <= _attributes(attempt).items()
        assert {2} == {_attributes(spans[name])["pipelet.images"] for name in ("submit", "generate", "encode", "store")}
        assert _trace_of(collector, other) != root.trace_id


def _trace_of(collector: Collector, request_id: str) -> bytes:
    (found,) = {
        span.trace_id for _, span in collector.spans if request_id == _attributes(span).get("pipelet.request_id")
    }
    return bytes(found)


def _names_by_service(spans: list[tuple[str, Any]]) -> dict[str, set[str]]:
    return {service: {span.name for name, span in spans if name == service} for service, _ in spans}


def test_api_and_workers_trace_the_same_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process decides by the id of the request alone."""
    ids = [f"request{number}" for number in range(40)]
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with tracing.exporting("api", sample_ratio=0.5):
            for request_id in ids:
                tracing.record_root("submit", request_id, start=1.0, end=2.0)
        with tracing.exporting("worker", sample_ratio=0.5):
            for request_id in ids:
                with tracing.request_span("attempt", request_id):
                    pass
    by_service = {
        service: {_attributes(span)["pipelet.request_id"] for name, span in collector.spans if name == service}
        for service in ("api", "worker")
    }

    assert by_service["api"] == by_service["worker"]
    assert 0 < len(by_service["api"]) < 40


def test_a_collector_that_is_away_delays_no_request_and_no_stop(tmp_path: Path) -> None:
    """Spans are lost then, and the log says why."""
    with collecting() as collector:
        url = collector.url
    settings = {"trace_sample_ratio": "1"}
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}
    with Service(tmp_path, settings=settings, variables=variables) as service:
        service.result(service.submit("one"))

        assert 0 == service.stop(within=25)


def test_tracing_without_opentelemetry_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "pipelet.tracing.otlp", raising=False)
    with (
        pytest.raises(OperationalError, match=r"pip install 'pipelet-server\[otel\]'"),
        tracing.exporting("a", sample_ratio=1),
    ):
        pass
