"""Gateway headers on the wire: raw bytes to a real uvicorn process, with both of its HTTP parsers."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

SECRET = "correct horse battery"
APPLICATION = f"""
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from hoc.cus.account.L2_api.authentication import GatewayBackend, caller_of

async def whoami(request):
    await request.body()
    caller = caller_of(request)
    return PlainTextResponse("anonymous" if caller is None else f"caller={{caller.user_id}}")

authentication = Middleware(
    AuthenticationMiddleware,
    backend=GatewayBackend(secret={SECRET!r}),
    on_error=lambda conn, error: PlainTextResponse(str(error), status_code=401),
)
app = Starlette(routes=[Route("/", whoami, methods=["GET", "POST"])], middleware=[authentication])
config = uvicorn.Config(app, http=sys.argv[2], log_level="warning")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
PROOF = b"X-Hoc-Gateway-Secret: " + SECRET.encode()
VICTIM = b"X-Hoc-User-Id: victim"


@pytest.fixture(scope="module", params=["httptools", "h11"])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a server on a socket that listens already, so that no test waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, str(listener.fileno()), request.param],
            pass_fds=[listener.fileno()],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            yield listener.getsockname()
        finally:
            server.terminate()
            server.wait(30)


def exchange(address: tuple[str, int], sent: bytes, *, parts: int = 1) -> str:
    """Send bytes, at their first empty line in two parts, then read all that the server answers."""
    with socket.create_connection(address, timeout=30) as connection:
        head, end, body = sent.partition(b"\r\n\r\n")
        for part in [sent] if parts == 1 else [head + end, body]:
            with suppress(OSError):  # it may have answered and closed
                connection.sendall(part)
                time.sleep(0.2 if parts > 1 else 0)  # until the server has read it
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection: socket.socket) -> str:
    """Read until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received.decode("latin-1")


def get(*headers: bytes) -> bytes:
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", b"Connection: close", *headers, b"", b""])


def statuses(answer: str) -> list[int]:
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d{3}) ", answer)]


def test_the_gateways_headers_name_the_caller(address: tuple[str, int]) -> None:
    answer = exchange(address, get(PROOF, VICTIM))
    assert statuses(answer) == [200]
    assert answer.endswith("caller=victim")


def test_a_request_without_identity_is_anonymous(address: tuple[str, int]) -> None:
    assert exchange(address, get()).endswith("anonymous")


@pytest.mark.parametrize(
    "headers",
    [
        [VICTIM],
        [VICTIM, b"X-Hoc-Gateway-Secret: wrong"],
        [VICTIM, b"X-Hoc-Gateway-Secret:"],
        [PROOF, PROOF, VICTIM],
        [PROOF, b"X-Hoc-User-Id: u1", VICTIM],
        [PROOF, b"x-hoc-user-id: u1", b"X-HOC-USER-ID: victim"],
        [PROOF, b"X-Hoc-User-Id: u1", b"X_Hoc_User_Id: victim"],
        [PROOF, b"X_Hoc_User_Id: victim"],
        [PROOF, b"X-Hoc-User.Id: victim"],
        [PROOF, b"X.Hoc.User.Id: victim"],
        [b"X_Hoc_Gateway_Secret: " + SECRET.encode(), VICTIM],
        [b"X_Hoc_User_Id: victim"],
        [b"X_Hoc-Tenant.Id: t1"],
        [b"x-hoc-email: victim@example.org"],
        [b"X-Hoc-Scopes: accounts:admin"],
        [PROOF, b"X-Hoc-Scopes: accounts:admin"],
    ],
)
def test_a_forged_doubled_or_misspelt_header_is_refused(
    address: tuple[str, int], headers: list[bytes]
) -> None:
    answer = exchange(address, get(*headers))
    assert statuses(answer) == [401]
    assert "victim" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        [PROOF, b"X-Hoc-User-Id : victim"],
        [PROOF, b"X-Hoc-User-Id\t: victim"],
        [PROOF, b" X-Hoc-User-Id: victim"],
        [PROOF, b"X-Hoc-User-Id\x00: victim"],
        [PROOF, b"X-Hoc-User-Id: vic\x00tim"],
        [PROOF, b"X-Hoc-User-\xc4\xb0d: victim"],
        [PROOF, b"X-Hoc-User-Id: \xff\xfe"],
        [PROOF, b"X-Hoc-User-Id: " + b"u" * 256],
        [VICTIM, b"X-Other: a", b" " + PROOF],
        [b"X-Other: a\n" + VICTIM],
        [b"X-Other: a\r" + VICTIM],
    ],
)
def test_malformed_bytes_are_refused(address: tuple[str, int], headers: list[bytes]) -> None:
    answer = exchange(address, get(*headers))
    assert statuses(answer)[0] in {400, 401}
    assert "caller=" not in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 3",
    ],
)
def test_a_smuggled_request_inherits_no_trust(address: tuple[str, int], framing: bytes) -> None:
    first = b"POST / HTTP/1.1\r\nHost: a\r\n" + PROOF + b"\r\nX-Hoc-User-Id: u1\r\n" + framing + b"\r\n\r\n"
    body = b"0\r\n\r\n" if b"chunked" in framing else b"abc"
    answer = exchange(address, first + body + get(VICTIM))
    assert "caller=victim" not in answer
    assert set(statuses(answer)[1:]) <= {400, 401}


@pytest.mark.parametrize("parts", [1, 2])
def test_no_scope_comes_from_a_trailer(address: tuple[str, int], parts: int) -> None:
    """Neither in the segment of the header block nor in a later one."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    identity = PROOF + b"\r\nX-Hoc-User-Id: mallory\r\n\r\n"
    trailers = b"0\r\nX-Hoc-Scopes: accounts:admin\r\nX-Pad: 1\r\n\r\n"
    answer = exchange(address, head + identity + trailers, parts=parts)
    assert statuses(answer) == [401]


@pytest.mark.parametrize("parts", [1, 2])
def test_no_identity_comes_from_a_trailer(address: tuple[str, int], parts: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"0\r\n" + PROOF + b"\r\n" + VICTIM + b"\r\nX-Pad: 1\r\n\r\n"
    answer = exchange(address, head + trailers, parts=parts)
    assert "victim" not in answer


def test_a_trailer_is_no_header_of_the_next_request(address: tuple[str, int]) -> None:
    first = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + VICTIM + b"\r\n\r\n"
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(first + get(PROOF))
        answer = read_all(connection)
    assert answer.endswith("anonymous")
