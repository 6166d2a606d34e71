"""`hoc serve` behind a gateway that passes trailers on, or names the client's address."""

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


def test_a_trusted_proxy_names_the_client(database_url: str) -> None:
    """A rate limit counts by the address in X-Forwarded-For, of that proxy only."""
    forwarded = [f"X-Forwarded-For: 192.0.2.{number}" for number in (1, 1, 2)]
    asked = [head("GET", PATH, "Connection: close", field) for field in forwarded]
    for proxy, expected in ("127.0.0.1", ["401", "429", "401"]), ("192.0.2.9", ["401", "429", "429"]):
        with (
            data_directory() as data,
            serving(
                data,
                HOC_DATABASE_URL=database_url,
                HOC_TRUSTED_PROXIES=proxy,
                HOC_RATE_LIMITS="true",
                HOC_RATE_LIMIT_PER_ADDRESS="1/hour",
            ) as server,
        ):
            port = int(server.url.rpartition(":")[2])
            assert [_exchange(port, request).split(" ", 2)[1] for request in asked] == expected


def _exchange(port: int, *parts: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        return receive_all(connection)
