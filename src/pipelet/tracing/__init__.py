"""Traces of requests, from submit to the stored file. Off unless `trace_sample_ratio` is set.

Each request has a trace of its own. Its id and that of its root span are hashes of the request's id, so the API and the
workers share a trace without a column in the database.

Spans are made with OpenTelemetry's API, which FastAPI brings along and which does nothing until `exporting`; its SDK is
optional, and imported only then.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, Span, SpanContext, SpanKind, TraceFlags, Tracer

from pipelet.domain.errors import OperationalError

Attribute: TypeAlias = str | bool | int | float

_NANOSECONDS = 1e9
_OFF = NoOpTracer()
_tracer: Tracer = _OFF
root_context: ContextVar[SpanContext | None] = ContextVar("root_context", default=None)
"""Ids of the root span, while it is made."""


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
        from pipelet.tracing.otlp import open_tracer  # only now: it takes time to import, and is optional
    except ImportError as error:
        raise OperationalError(
            f"Tracing needs OpenTelemetry, and its module {error.name} is not installed. Install it with "
            "pip install 'pipelet-server[otel]', or unset PIPELET_TRACE_SAMPLE_RATIO."
        ) from error
    try:
        with open_tracer(service, sample_ratio) as _tracer:
            yield
    finally:
        _tracer = _OFF


def request_span(name: str, request_id: str, **attributes: Attribute) -> AbstractContextManager[Span]:
    """Measure the block as a child of the request's root span; spans inside become its children."""
    parent = trace.set_span_in_context(NonRecordingSpan(_root_of(request_id)))
    named = _named({"request_id": request_id, **attributes})
    return _tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, named)


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
    """Measure the block as a child of the span around it."""
    return _tracer.start_as_current_span(name, attributes=_named(attributes))


def set_attributes(**attributes: Attribute) -> None:
    """Add to the span around the call."""
    trace.get_current_span().set_attributes(_named(attributes))


def record_root(name: str, request_id: str, *, start: float, end: float, **attributes: Attribute) -> None:
    """Record the root span of a request. Times are seconds since the epoch."""
    if _tracer is _OFF:  # a submit pays for no more
        return
    no_parent, named = trace.set_span_in_context(trace.INVALID_SPAN), _named({"request_id": request_id, **attributes})
    token = root_context.set(_root_of(request_id))
    try:
        root = _tracer.start_span(name, no_parent, SpanKind.PRODUCER, named, start_time=round(start * _NANOSECONDS))
    finally:
        root_context.reset(token)
    root.end(round(end * _NANOSECONDS))


def record(name: str, *, start: float, end: float) -> None:
    """Record a child of the span around the call that began before it did. Times are seconds since the epoch."""
    _tracer.start_span(name, start_time=round(start * _NANOSECONDS)).end(round(end * _NANOSECONDS))


def _root_of(request_id: str) -> SpanContext:
    digest = blake2b(request_id.encode(), digest_size=24).digest()
    return SpanContext(
        int.from_bytes(digest[:16], "big"),
        int.from_bytes(digest[16:], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {f"pipelet.{name}": value for name, value in attributes.items()}
