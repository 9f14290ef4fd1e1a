"""Spans of OpenTelemetry's SDK, exported over OTLP. The OTEL_EXPORTER_OTLP_* variables say where to and how.

Each request has a trace of its own. Its id and that of its root span are hashes of the request's id, so the API and the
workers share a trace without a column in the database.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from threading import Thread
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

Attribute: TypeAlias = str | bool | int | float

_NANOSECONDS = 1e9
_SHUTDOWN_SECONDS = 2.0
_root_context: ContextVar[SpanContext | None] = ContextVar("root_context", default=None)
"""Set while a root span is made."""


class _IdGenerator(RandomIdGenerator):
    """Gives a root span the ids that belong to its request, and other spans random ones."""

    def generate_trace_id(self) -> int:
        root = _root_context.get()
        return super().generate_trace_id() if root is None else root.trace_id

    def generate_span_id(self) -> int:
        root = _root_context.get()
        return super().generate_span_id() if root is None else root.span_id


class RequestTracer:
    """Makes spans and exports them in the background."""

    def __init__(self, service: str, sample_ratio: float) -> None:
        # The sampler looks at the trace id alone, so all processes agree on which requests are traced.
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            resource=Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect()),
            id_generator=_IdGenerator(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("pipelet")

    def shutdown(self) -> None:
        """Export what is left, unless the collector is unreachable."""
        thread = Thread(target=self._provider.shutdown, daemon=True)  # the SDK's own timeouts add up to a minute
        thread.start()
        thread.join(_SHUTDOWN_SECONDS)

    def request_span(
        self, name: str, request_id: str, attributes: Mapping[str, Attribute]
    ) -> AbstractContextManager[Span]:
        parent = trace.set_span_in_context(NonRecordingSpan(_root_of(request_id)))
        return self._tracer.start_as_current_span(
            name, parent, SpanKind.CONSUMER, _named({"request_id": request_id, **attributes})
        )

    def span(self, name: str, attributes: Mapping[str, Attribute]) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(name, attributes=_named(attributes))

    def set_attributes(self, attributes: Mapping[str, Attribute]) -> None:
        trace.get_current_span().set_attributes(_named(attributes))

    def record_root(
        self, name: str, request_id: str, start: float, end: float, attributes: Mapping[str, Attribute]
    ) -> None:
        with _as_root(_root_of(request_id)):
            span = self._tracer.start_span(
                name,
                trace.set_span_in_context(trace.INVALID_SPAN),
                SpanKind.PRODUCER,
                _named({"request_id": request_id, **attributes}),
                start_time=round(start * _NANOSECONDS),
            )
        span.end(round(end * _NANOSECONDS))

    def record(self, name: str, start: float, end: float) -> None:
        span = self._tracer.start_span(name, start_time=round(start * _NANOSECONDS))
        span.end(round(end * _NANOSECONDS))


def _root_of(request_id: str) -> SpanContext:
    digest = blake2b(request_id.encode(), digest_size=24).digest()
    return SpanContext(
        int.from_bytes(digest[:16], "big"),
        int.from_bytes(digest[16:], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


@contextmanager
def _as_root(root: SpanContext) -> Iterator[None]:
    token = _root_context.set(root)
    try:
        yield
    finally:
        _root_context.reset(token)


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {f"pipelet.{name}": value for name, value in attributes.items()}
