"""A gRPC server for tests of clients: it keeps all pushes, and answers as the test decides."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from devtelemetry.v1 import SERVICE, telemetry_pb2

Answer = Callable[[telemetry_pb2.PushRequest, grpc.ServicerContext], telemetry_pb2.PushResponse]


class PushServer:
    """pushed: all requests, in order; metadata: of each; answer: for the next requests."""

    def __init__(self) -> None:
        self.pushed: list[telemetry_pb2.PushRequest] = []
        self.metadata: list[dict[str, Any]] = []
        self.answer: Answer = accept
        self.address = ""
        self._came = threading.Condition()

    def push(
        self, request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        with self._came:
            self.pushed.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
            self._came.notify_all()
        return self.answer(request, context)

    def wait(self, is_enough: Callable[[], Any], seconds: float = 20.0) -> None:
        """Waits until `is_enough` is true, which is checked after every push."""
        deadline = time.monotonic() + seconds
        with self._came:
            while not is_enough():
                left = deadline - time.monotonic()
                assert left > 0, f"not in {seconds} s; pushed: {self.pushed}"
                self._came.wait(min(left, 0.1))

    @property
    def samples(self) -> list[telemetry_pb2.Sample]:
        return [sample for request in self.pushed for sample in request.samples]

    @property
    def message_ids(self) -> list[str]:
        return [sample.message_id for sample in self.samples]

    @property
    def sequences(self) -> list[int]:
        """The number of each sample that was pushed."""
        return [
            request.first_sequence + position
            for request in self.pushed
            for position in range(len(request.samples))
        ]


@contextmanager
def push_server(credentials: grpc.ServerCredentials | None = None) -> Iterator[PushServer]:
    served = PushServer()
    server = grpc.server(ThreadPoolExecutor(4))
    handler: Any = grpc.unary_unary_rpc_method_handler(
        served.push,
        request_deserializer=telemetry_pb2.PushRequest.FromString,
        response_serializer=telemetry_pb2.PushResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"Push": handler})]
    )
    if credentials is None:
        served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        served.address = f"localhost:{server.add_secure_port('localhost:0', credentials)}"
    server.start()
    try:
        yield served
    finally:
        server.stop(None).wait()


def accept(
    request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
) -> telemetry_pb2.PushResponse:
    return telemetry_pb2.PushResponse(accepted=len(request.samples))


def refuse(code: grpc.StatusCode, details: str, *, retry_seconds: float | None = None) -> Answer:
    """Answers with a status, and with RetryInfo if `retry_seconds` is given."""

    def answer(
        request: telemetry_pb2.PushRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.PushResponse:
        if retry_seconds is not None:
            delay = Duration()
            delay.FromMilliseconds(round(retry_seconds * 1000))
            status = Status(code=code.value[0], message=details)
            status.details.add().Pack(RetryInfo(retry_delay=delay))
            trailer: Any = ("grpc-status-details-bin", status.SerializeToString())
            context.set_trailing_metadata((trailer,))
        context.abort(code, details)
        raise AssertionError("abort() raises")

    return answer
