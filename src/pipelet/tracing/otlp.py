"""OpenTelemetry's SDK: exports spans over OTLP. The OTEL_EXPORTER_OTLP_* variables say where to and how."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Tracer

from pipelet.tracing import root_context

_SHUTDOWN_SECONDS = 2.0


class _IdGenerator(RandomIdGenerator):
    """Gives a root span the ids that belong to its request, and other spans random ones."""

    def generate_trace_id(self) -> int:
        root = root_context.get()
        return super().generate_trace_id() if root is None else root.trace_id

    def generate_span_id(self) -> int:
        root = root_context.get()
        return super().generate_span_id() if root is None else root.span_id


@contextmanager
def open_tracer(service: str, sample_ratio: float) -> Iterator[Tracer]:
    """Export the spans of the tracer in the background, and at the end what is left, unless the collector is away."""
    # The sampler looks at the trace id alone, so all processes agree on which requests are traced.
    provider = TracerProvider(
        sampler=TraceIdRatioBased(sample_ratio),
        resource=Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect()),
        id_generator=_IdGenerator(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield provider.get_tracer("pipelet")
    finally:
        thread = Thread(target=provider.shutdown, daemon=True)  # the SDK's own timeouts add up to a minute
        thread.start()
        thread.join(_SHUTDOWN_SECONDS)
