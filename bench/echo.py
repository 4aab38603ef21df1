"""A gRPC server that does nothing: it answers each Push with the Push's own body.

`python -m bench.echo` prints `ready HOST:PORT` and runs until its standard input ends. It is built
like the server (`grpc.aio`, one process), so the transport costs both the same.
"""

import asyncio
import sys
from typing import Any

import grpc

from devtelemetry.v1 import SERVICE


async def _push(body: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return body


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler: Any = grpc.unary_unary_rpc_method_handler(
        _push, request_deserializer=None, response_serializer=None
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"Push": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready 127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(grace=None)


if __name__ == "__main__":
    asyncio.run(_serve())
