"""`hoc serve` behind a gateway that passes trailers on."""

import socket

import pytest
from support.bounded_server import head, json_of, receive_all
from support.command_line import data_directory, serving

SECRET = "a secret of the gateway"
PATH = "/api/v1/accounts/stats"
IDENTITY = (f"X-Hoc-Gateway-Secret: {SECRET}", "X-Hoc-User-Id: mallory", "Connection: close")
TRAILERS = b"0\r\nX-Hoc-Scopes: accounts:admin\r\nX-Pad: 1\r\n\r\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_trailer_gives_no_scope(database_url: str, workers: str) -> None:
    """In the segment of the header block, and in a later one. The same field as a header gives the scope."""
    with (
        data_directory() as data,
        serving(
            data,
            "--workers",
            workers,
            HOC_DATABASE_URL=database_url,
            HOC_GATEWAY_SECRET=SECRET,
        ) as server,
    ):
        port = int(server.url.rpartition(":")[2])
        chunked = head("GET", PATH, *IDENTITY, "Transfer-Encoding: chunked")
        for parts in [chunked + TRAILERS], [chunked, TRAILERS]:
            [problem] = json_of(_exchange(port, *parts))
            assert problem["code"] == "missing_scope"
        answer = _exchange(port, head("GET", PATH, *IDENTITY, "X-Hoc-Scopes: accounts:admin"))
        assert answer.startswith("HTTP/1.1 200 ")
        assert server.stop() == 0


def _exchange(port: int, *parts: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        return receive_all(connection)
