"""One trace from client over balancer to server: real calls, a real Envoy, a collector that speaks OTLP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from grpc_lb_contract import Document, Route
from proxy_image.envoy import bootstrap
from tests.grpc_servers import SERVER_OPTIONS
from tests.ports import free_ports
from tests.proxy_image.control_plane.calls import channel_to
from tests.proxy_image.control_plane.support import (
    WHO,
    Backend,
    ControlPlane,
    Envoy,
    backends,
    balancer,
    eventually,
    rng,
    service,
    who,
)
from tests.transparency.peers import raw_h2

TRACEPARENT = "00-{trace}-00f067aa0ba902b7-{flags}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# The path is UTF-8 until it is cut at 255 bytes.
NO_UTF8 = {
    ":path": b"/test.Test/" + "\N{DEGREE SIGN}".encode() * 200,
    "user-agent": b"caf\xe9",
    "content-type": b"application/grpc+\xff",
    "grpc-timeout": b"\xff",
    "tracestate": b"a=\xff",
    "x-request-id": b"\xff",
    "x-client-trace-id": b"\xff",
    "x-envoy-downstream-service-cluster": b"\xff",
}
# An address of its own: ports of 127.0.0.1 that are free now may be the balancer's in a moment.
ELSEWHERE = "127.0.0.9"


@pytest.fixture(autouse=True)
def flushed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every test waits for spans."""
    monkeypatch.setattr(bootstrap, "FLUSH_MILLISECONDS", 100)


@dataclass
class Collector:
    """Takes OTLP over gRPC and keeps the spans."""

    address: str = field(default_factory=lambda: f"{ELSEWHERE}:{free_ports(1)[0]}")
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    refused: int = 0
    """Bundles in which something is no OTLP."""

    def _read(self, bundle: bytes) -> Any:
        try:
            return trace_service_pb2.ExportTraceServiceRequest.FromString(bundle)
        except DecodeError:
            self.refused += 1
            raise

    async def _export(self, request: Any, _context: Any) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        for of_resource in request.resource_spans:
            self.resource = {each.key: each.value.string_value for each in of_resource.resource.attributes}
            self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Collector]:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=self._read,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
        server.add_insecure_port(self.address)
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)

    async def calls(self, count: int) -> list[Span]:
        """The balancer's spans of so many calls, once all are there."""
        await eventually(lambda: len(self.of_calls) >= count, f"{count} spans of calls, have {self.spans}")
        return self.of_calls

    @property
    def of_calls(self) -> list[Span]:
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    @property
    def of_tries(self) -> list[Span]:
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_CLIENT]


@dataclass
class Instrumented:
    """A process that OpenTelemetry is in, with its spans."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    @property
    def provider(self) -> TracerProvider:
        provider = TracerProvider(sampler=ALWAYS_ON)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return provider

    async def spans(self) -> Sequence[ReadableSpan]:
        await eventually(self.exporter.get_finished_spans, "spans of its own")
        return self.exporter.get_finished_spans()


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def traceparent(*, sampled: bool) -> tuple[tuple[str, str], ...]:
    return (("traceparent", TRACEPARENT.format(trace=TRACE, flags="01" if sampled else "00")),)


def traced(
    tmp_path: Path, document: Document, collector: Collector, percent: str
) -> AbstractAsyncContextManager[tuple[ControlPlane, Envoy]]:
    return balancer(
        tmp_path,
        document,
        GRPC_LB_TRACING_PERCENT=percent,
        GRPC_LB_TRACING_COLLECTOR=collector.address,
        GRPC_LB_TRACING_ATTRIBUTES="team=orders",
    )


@contextlib.asynccontextmanager
async def traced_calls(tmp_path: Path, percent: str) -> AsyncIterator[tuple[Backend, Collector, grpc.aio.Channel]]:
    """A server, the collector, and a channel to the balancer between them."""
    collector = Collector()
    async with (
        backends("a") as (a,),
        collector.listening(),
        traced(tmp_path, rng(a.target), collector, percent) as (_, envoy),
        envoy.channel() as channel,
    ):
        yield a, collector, channel


async def test_client_balancer_and_server_are_one_trace_each_the_parent_of_the_next(tmp_path: Path) -> None:
    client, server, collector = Instrumented(), Instrumented(), Collector()
    interceptor = aio_server_interceptor(server.provider)  # type: ignore[no-untyped-call]  # it has no types
    backend = Backend("a", interceptors=(interceptor,))
    await backend.start()
    async with collector.listening(), traced(tmp_path, rng(backend.target), collector, "0") as (_, envoy):
        interceptors = aio_client_interceptors(client.provider)  # type: ignore[no-untyped-call]  # it has no types
        async with grpc.aio.insecure_channel(f"127.0.0.1:{envoy.settings.port}", interceptors=interceptors) as channel:
            assert await who(channel) == {"a": 1}
        (call,) = await collector.calls(1)
        (attempt,) = collector.of_tries
        (asked,) = await client.spans()
        (answered,) = await server.spans()
    await backend.stop()
    assert asked.kind is trace.SpanKind.CLIENT
    assert answered.kind is trace.SpanKind.SERVER
    assert asked.context is not None
    assert answered.parent is not None
    trace_id = asked.context.trace_id.to_bytes(16)
    assert [call.trace_id, attempt.trace_id, answered.parent.trace_id.to_bytes(16)] == [trace_id] * 3
    assert call.parent_span_id == asked.context.span_id.to_bytes(8)
    assert attempt.parent_span_id == call.span_id
    assert answered.parent.span_id.to_bytes(8) == attempt.span_id
    assert (call.name, attempt.name) == (WHO, WHO)
    assert attributes(call)["grpc.status_code"] == "0"
    assert attributes(attempt)["upstream_cluster"] == "rng"
    assert collector.resource["service.name"] == "grpc-lb"
    assert collector.resource["team"] == "orders"


async def test_what_a_caller_chooses_is_cut_short_in_spans(tmp_path: Path) -> None:
    """Collectors refuse a bundle of more than 4 MiB, with the spans of all callers in it."""
    collector = Collector()
    options = [("grpc.primary_user_agent", "a" * 5_000)]
    async with (
        backends("a") as (a,),
        collector.listening(),
        traced(tmp_path, rng(a.target), collector, "100") as (_, envoy),
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.settings.port}", options=options) as channel,
    ):
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/test.Test/{'m' * 5_000}")
        with pytest.raises(grpc.aio.AioRpcError):
            await method(b"")
        (call,) = await collector.calls(1)
        for span in (call, *collector.of_tries):
            assert (len(span.name), attributes(span)["user_agent"]) == (255, "a" * 255)
            assert span.ByteSize() < 3_000
            # AND what is not there is not told of
            assert "grpc.timeout" not in attributes(span)


async def test_calls_with_texts_that_no_collector_takes_cost_no_other_caller_its_spans(tmp_path: Path) -> None:
    """OTLP's texts are UTF-8: a collector refuses a bundle with others in it, whosever spans they are."""
    collector = Collector()
    async with backends("a") as (a,), collector.listening():
        document = Document((service("rng", a.target, routes=(Route("rng.test"),)),))
        async with (
            traced(tmp_path, document, collector, "100") as (_, envoy),
            raw_h2.connected(envoy.settings.port) as caller,
            channel_to(envoy, "rng.test") as channel,
        ):
            # GIVEN odd calls, which a grpcio server would not survive: to a host without a service
            usual: dict[str, str | bytes] = dict(
                raw_h2.request(traceparent(sampled=True), path=WHO, authority="odd.test")
            )
            requests = [[*{**usual, header: value}.items()] for header, value in NO_UTF8.items()]
            # AND with an odd header after one of its name that is in order
            requests += [
                [*{**usual, header: usual.get(header, "a=b")}.items(), (header, value)]
                for header, value in NO_UTF8.items()
                if not header.startswith(":")
            ]
            for odd in requests:
                stream = caller.new_stream()
                caller.h2.send_headers(stream.number, odd, end_stream=True)
                caller.flush()
                await caller.next(stream)
                # AND they are answered, if only that two content types are none of gRPC's
                assert dict(stream.headers[0])[":status"] in ("200", "404")
            # THEN the collector gets the span of the call after them, and is sent none that it would refuse
            await who(channel)
            (call,) = await collector.calls(1)
            assert (call.name, collector.refused) == (WHO, 0)


async def test_a_failed_call_says_its_grpc_status_and_that_it_is_an_error(tmp_path: Path) -> None:
    async with traced_calls(tmp_path, "100") as (a, collector, channel):
        a.abort = grpc.StatusCode.INTERNAL
        with pytest.raises(grpc.aio.AioRpcError):
            await who(channel)
        (call,) = await collector.calls(1)
        assert attributes(call)["grpc.status_code"] == "13"
        assert [span.status.code for span in (call, *collector.of_tries)] == [Status.STATUS_CODE_ERROR] * 2


async def test_a_call_without_a_target_has_a_span_that_says_why(tmp_path: Path) -> None:
    collector = Collector()
    async with (
        collector.listening(),
        traced(tmp_path, rng(), collector, "100") as (_, envoy),
        envoy.channel() as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await who(channel)
        (call,) = await collector.calls(1)
        assert attributes(call)["grpc.status_code"] == "14"
        assert attributes(call)["response_flags"] == "UH"  # no healthy upstream


async def test_the_callers_decision_stands_and_the_percentage_is_for_calls_without_one(tmp_path: Path) -> None:
    """GIVEN 0 percent, THEN only calls that their caller samples have spans; what the server sees agrees."""
    async with traced_calls(tmp_path, "0") as (a, collector, channel):
        await who(channel, 20)
        await who(channel, 20, metadata=traceparent(sampled=False))
        await who(channel, 1, metadata=traceparent(sampled=True))
        (call,) = await collector.calls(1)
        assert call.trace_id.hex() == TRACE
        seen = [metadata["traceparent"].split("-") for metadata in a.metadata]
        assert [flags for *_, flags in seen] == ["00"] * 40 + ["01"]
        assert {trace_id for _, trace_id, *_ in seen[20:]} == {TRACE}
        assert len({trace_id for _, trace_id, *_ in seen[:20]}) == 20


async def test_at_100_percent_a_caller_that_decided_against_it_is_not_traced(tmp_path: Path) -> None:
    async with traced_calls(tmp_path, "100") as (_, collector, channel):
        await who(channel, 10, metadata=traceparent(sampled=False))
        await who(channel, 10)
        calls = await collector.calls(10)
        assert len(calls) == 10
        assert TRACE not in {call.trace_id.hex() for call in calls}


async def test_the_percentage_is_what_is_traced(tmp_path: Path) -> None:
    """GIVEN 25 percent of 400 calls, THEN 57..143 are traced: 5 standard deviations of 8.7 around 100."""
    async with traced_calls(tmp_path, "25") as (_, collector, channel):
        await asyncio.gather(*(who(channel, 20) for _ in range(20)))
        await who(channel, 1, metadata=traceparent(sampled=True))
        await eventually(lambda: TRACE in {call.trace_id.hex() for call in collector.of_calls}, "the last call's span")
        assert 57 <= len(collector.of_calls) - 1 <= 143


@pytest.mark.parametrize("each", [25, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_collector_that_is_down_or_hangs_harms_no_call(tmp_path: Path, hangs: bool, each: int) -> None:
    """GIVEN more spans than may wait for it: 8 bundles of 5 under way, and 8 more."""
    collector = Collector(hangs=hangs)
    async with (
        backends("a") as (a,),
        collector.listening() if hangs else contextlib.nullcontext(),
        traced(tmp_path, rng(a.target), collector, "100") as (_, envoy),
        envoy.channel() as channel,
    ):
        counted = await asyncio.gather(*(who(channel, each) for _ in range(20)))
        assert sum(answers["a"] for answers in counted) == 20 * each
        assert collector.spans == []


async def test_a_collector_that_comes_later_gets_the_spans_from_then_on(tmp_path: Path) -> None:
    collector = Collector()
    async with (
        backends("a") as (a,),
        traced(tmp_path, rng(a.target), collector, "100") as (_, envoy),
        envoy.channel() as channel,
    ):
        await who(channel, 5)
        async with collector.listening():

            async def arrives() -> bool:
                await who(channel)
                return bool(collector.spans)

            await eventually(arrives, "spans")


async def test_off_by_default_a_callers_trace_passes_through_as_it_is(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        await who(channel, 1, metadata=traceparent(sampled=True))
        assert a.metadata[0]["traceparent"] == traceparent(sampled=True)[0][1]
        await who(channel)
        assert "traceparent" not in a.metadata[1]
        assert "trace_collector" not in (await envoy.admin("/clusters")).text
