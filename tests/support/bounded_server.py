"""A real uvicorn with `BoundedProtocol` in a process of its own, and raw bytes to it.

`/` answers with what the application got, and `/wait` once `/go` was asked for.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hoc.server.protocol import Limits, bounded_by
from hoc.telemetry.metrics import REGISTRY


@dataclass(frozen=True, slots=True)
class BoundedServer:
    address: tuple[str, int]
    process: psutil.Process

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=15)

    def exchange(self, *sent: bytes) -> str:
        """Send each of the byte strings, and return all that the server sends until it closes."""
        with self.connect() as connection:
            for part in sent:
                send(connection, part)
            return receive_all(connection)

    def refused(self, reason: str) -> int:
        """How many requests were refused for this reason."""
        metrics = self.exchange(get("/metrics", "Connection: close"))
        found = re.search(rf'hoc_http_requests_refused_total{{reason="{reason}"}} (\d+)', metrics)
        return int(found[1]) if found else 0


def get(path: str, *fields: str) -> bytes:
    return head("GET", path, *fields)


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def send(connection: socket.socket, data: bytes) -> None:
    """Send as much as the server takes before it closes."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)


def receive_all(connection: socket.socket) -> str:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received.decode("latin-1")


def statuses(answers: str) -> list[int]:
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d{3}) ", answers)]


def json_of(answers: str) -> list[dict[str, Any]]:
    return [json.loads(body) for body in re.findall(r"\r\n\r\n(\{.*?\})(?=HTTP/1\.1 |$)", answers, re.DOTALL)]


@contextmanager
def bounded_server(**limits: float) -> Generator[BoundedServer]:
    """Run a server with these `Limits` during the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        arguments = [str(listener.fileno()), json.dumps(limits)]
        process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            pass_fds=[listener.fileno()],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            server = BoundedServer(listener.getsockname(), psutil.Process(process.pid))
            assert statuses(server.exchange(get("/", "Connection: close"))) == [200]
            yield server
        finally:
            process.terminate()
            process.wait(30)


def application() -> Starlette:
    go = asyncio.Event()

    async def show(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        # After the body, when uvicorn's own protocol has appended trailers.
        fields = [
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]
        ]
        return JSONResponse({"fields": fields, "body": len(body)})

    async def wait(_request: Request) -> Response:
        await go.wait()
        return JSONResponse({"waited": True})

    async def release(_request: Request) -> Response:
        go.set()
        return JSONResponse({})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(REGISTRY))

    return Starlette(
        routes=[
            Route("/", show, methods=["GET", "POST"]),
            Route("/wait", wait),
            Route("/go", release),
            Route("/metrics", metrics),
        ]
    )


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(
        application(),
        http=bounded_by(Limits(**json.loads(sys.argv[2]))),
        loop="uvloop",
        log_level="error",
        timeout_keep_alive=60,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
