"""Traces of requests, from submit to the stored file. Off unless `trace_sample_ratio` is set.

Spans cost nothing but a function call while tracing is off, and OpenTelemetry is not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelet.domain.errors import OperationalError

if TYPE_CHECKING:
    from pipelet.tracing.otlp import Attribute, RequestTracer

_tracer: "RequestTracer | None" = None


@contextmanager
def exporting(service: str, *, sample_ratio: float) -> Iterator[None]:
    """Export spans until the end of the block.

    Args:
        service: `service.name` of the spans, unless OTEL_SERVICE_NAME has another.
        sample_ratio: share of the requests that are traced, 0 to 1; 0 turns tracing off.

    Raises:
        OperationalError: OpenTelemetry is not installed.
    """
    global _tracer
    if not sample_ratio:
        yield
        return
    try:
        from pipelet.tracing.otlp import RequestTracer  # only now: it takes time to import, and is optional
    except ImportError as error:
        raise OperationalError(
            f"Tracing needs OpenTelemetry, and its module {error.name} is not installed. Install it with "
            "pip install 'pipelet-server[otel]', or unset PIPELET_TRACE_SAMPLE_RATIO."
        ) from error
    _tracer = RequestTracer(service, sample_ratio)
    try:
        yield
    finally:
        _tracer.shutdown()
        _tracer = None


@contextmanager
def request_span(name: str, request_id: str, **attributes: "Attribute") -> Iterator[None]:
    """Measure the block as a child of the request's root span; spans inside become its children."""
    if _tracer is None:
        yield
        return
    with _tracer.request_span(name, request_id, attributes):
        yield


@contextmanager
def span(name: str, **attributes: "Attribute") -> Iterator[None]:
    """Measure the block as a child of the span around it."""
    if _tracer is None:
        yield
        return
    with _tracer.span(name, attributes):
        yield


def set_attributes(**attributes: "Attribute") -> None:
    """Add to the span around the call."""
    if _tracer is not None:
        _tracer.set_attributes(attributes)


def record_root(name: str, request_id: str, *, start: float, end: float, **attributes: "Attribute") -> None:
    """Record the root span of a request. Times are seconds since the epoch."""
    if _tracer is not None:
        _tracer.record_root(name, request_id, start, end, attributes)


def record(name: str, *, start: float, end: float) -> None:
    """Record a child of the span around the call that began before it did. Times are seconds since the epoch."""
    if _tracer is not None:
        _tracer.record(name, start, end)
