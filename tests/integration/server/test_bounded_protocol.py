"""What `hoc serve` takes from a client before it knows anyone: raw bytes to a real uvicorn."""

import inspect
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.bounded_server import (
    BoundedServer,
    bounded_server,
    get,
    head,
    json_of,
    receive_all,
    send,
    statuses,
)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hoc.server.protocol import BoundedProtocol

CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"
CONNECTIONS = 8
FLOOD_BYTES = 30 * 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[BoundedServer]:
    """The limits of `hoc serve`."""
    with bounded_server() as server:
        yield server


@pytest.fixture(scope="module")
def hasty() -> Iterator[BoundedServer]:
    """Short times, few connections, and few requests on one of them."""
    with bounded_server(
        head_seconds=0.5, body_seconds=0.5, connections=CONNECTIONS, pipelined=4, linger_seconds=0.5
    ) as server:
        yield server


# Trailers


@pytest.mark.parametrize("parts", [1, 2])
def test_a_trailer_is_no_header(server: BoundedServer, parts: int) -> None:
    """Neither in the segment of the header block nor in a later one."""
    block = head("POST", "/", CHUNKED, CLOSE)
    body = b"2\r\n{}\r\n0\r\nX-Hoc-Scopes: accounts:admin\r\nX-Pad: 1\r\n\r\n"
    [answer] = json_of(server.exchange(*([block + body] if parts == 1 else [block, body])))
    assert answer["body"] == 2
    assert [name for name, _ in answer["fields"]] == ["host", "transfer-encoding", "connection"]


def test_a_trailer_is_no_header_of_the_next_request(server: BoundedServer) -> None:
    first = head("POST", "/", CHUNKED) + b"0\r\nX-Hoc-Scopes: accounts:admin\r\n\r\n"
    answers = json_of(server.exchange(first + get("/", "X-Own: 1", CLOSE)))
    assert [name for name, _ in answers[1]["fields"]] == ["host", "x-own", "connection"]


@pytest.mark.parametrize("trailers", [b"X: b\r\n" * 200, b"X: " + b"b" * 400_000])
def test_trailers_are_bounded(server: BoundedServer, trailers: bytes) -> None:
    answer = server.exchange(head("POST", "/", CHUNKED) + b"0\r\n", trailers)
    assert statuses(answer) == [431]


# Sizes


@pytest.mark.parametrize(
    ("count", "status"),
    [(98, 200), (99, 431)],  # and Host and Connection
)
def test_a_header_block_has_at_most_100_fields(server: BoundedServer, count: int, status: int) -> None:
    fields = [f"X-{number}: b" for number in range(count)]
    assert statuses(server.exchange(get("/", CLOSE, *fields))) == [status]


@pytest.mark.parametrize(("size", "status"), [(65_400, 200), (65_600, 431), (200_000, 431)])
def test_a_header_block_has_at_most_64_kib(server: BoundedServer, size: int, status: int) -> None:
    assert statuses(server.exchange(get("/", CLOSE, "X: " + "b" * size))) == [status]


@pytest.mark.parametrize(("size", "status"), [(16_384, 200), (16_385, 414)])
def test_a_url_has_at_most_16_kib(server: BoundedServer, size: int, status: int) -> None:
    assert statuses(server.exchange(get("/?".ljust(size, "q"), CLOSE))) == [status]


@pytest.mark.parametrize(
    ("flood", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X-0000001: b\r\n" * (FLOOD_BYTES // 14), 431),
        (b"GET / HTTP/1.1\r\nX: " + b"b" * FLOOD_BYTES, 431),
        (b"GET / HTTP/1.1\r\n" + b"b" * FLOOD_BYTES, 431),
        (b"GET /" + b"b" * FLOOD_BYTES, 414),
        (head("POST", "/", CHUNKED) + b"1;" + b"b" * FLOOD_BYTES, 431),
    ],
)
def test_a_flood_takes_no_memory(server: BoundedServer, flood: bytes, status: int) -> None:
    before = server.process.memory_info().rss
    with server.connect() as connection:
        send(connection, flood)
        with suppress(ConnectionResetError):  # it may close while this still sends
            assert statuses(receive_all(connection)) == [status]
    assert server.process.memory_info().rss - before < 8 * 2**20


def test_a_refusal_is_a_problem_document_and_is_counted(server: BoundedServer) -> None:
    before = server.refused("malformed")
    answer = server.exchange(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
    [problem] = json_of(answer)
    assert (problem["status"], problem["code"]) == (400, "malformed_request")
    assert f"x-request-id: {problem['request_id']}" in answer
    assert server.refused("malformed") == before + 1


# Times


def test_a_header_block_must_be_complete_in_time(hasty: BoundedServer) -> None:
    before = hasty.refused("slow_head")
    with hasty.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        [problem] = json_of(receive_all(connection))
    assert (problem["status"], problem["code"]) == (408, "request_timeout")
    assert hasty.refused("slow_head") == before + 1


def test_a_later_header_block_must_be_complete_in_time(hasty: BoundedServer) -> None:
    with hasty.connect() as connection:
        connection.sendall(get("/"))
        assert statuses(connection.recv(65_536).decode()) == [200]
        connection.sendall(b"GET / HT")
        assert statuses(receive_all(connection)[-500:]) == [408]


def test_a_trickle_does_not_extend_the_time(hasty: BoundedServer) -> None:
    with hasty.connect() as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert statuses(trickle(connection, b"X: b\r\n")) == [408]


def test_a_body_must_be_complete_in_time(hasty: BoundedServer) -> None:
    before = hasty.refused("slow_body")
    with hasty.connect() as connection:
        connection.settimeout(0.05)
        connection.sendall(head("POST", "/", "Content-Length: 1000"))
        [problem] = json_of(trickle(connection, b"b"))
    assert (problem["status"], problem["code"]) == (408, "request_timeout")
    assert hasty.refused("slow_body") == before + 1


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_silent_connection_is_closed(hasty: BoundedServer, sent: bytes) -> None:
    assert hasty.exchange(sent) == ""


def test_a_line_end_after_an_answer_keeps_no_connection(hasty: BoundedServer) -> None:
    """It stops uvicorn's own timer of idle connections."""
    with hasty.connect() as connection:
        connection.sendall(get("/"))
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        connection.sendall(b"\r\n")
        assert receive_all(connection) == ""


def test_a_slow_request_does_not_cut_the_one_before_it(hasty: BoundedServer) -> None:
    with hasty.connect() as connection:
        connection.sendall(get("/wait") + b"GET / HT")
        time.sleep(1)
        hasty.exchange(get("/go", CLOSE))
        assert json_of(receive_all(connection)) == [{"waited": True}]


def trickle(connection: socket.socket, drop: bytes) -> str:
    """Send drop after drop until the server answers, and return the answer."""
    while True:
        send(connection, drop)
        try:
            return connection.recv(65_536).decode()
        except TimeoutError:
            pass


# Connections


@pytest.mark.parametrize(
    "half", [b"", b"GET / HT", head("POST", "/", "Content-Length: 9") + b"b"], ids=["idle", "head", "body"]
)
def test_waiting_connections_give_way_to_new_ones(hasty: BoundedServer, half: bytes) -> None:
    """However many half requests are open, a whole one is answered."""
    connections = [hasty.connect() for _ in range(3 * CONNECTIONS)]
    try:
        for connection in connections:
            send(connection, half)
        assert statuses(hasty.exchange(get("/", CLOSE))) == [200]
        assert len(hasty.process.net_connections("tcp")) <= CONNECTIONS + 2  # and the listener
    finally:
        for connection in connections:
            connection.close()


def test_the_connection_that_waited_longest_gives_way() -> None:
    """Not the idle one, although uvicorn would close that earlier."""
    with (
        bounded_server(connections=2, head_seconds=600) as server,
        server.connect() as half,
        server.connect() as idle,
    ):
        half.sendall(b"GET / HT")
        time.sleep(0.1)  # the loop's clock counts milliseconds, and both could begin to wait in the same one
        idle.sendall(get("/"))
        assert statuses(idle.recv(65_536).decode()) == [200]
        assert statuses(server.exchange(get("/", CLOSE))) == [200]
        assert statuses(receive_all(half)) == [503]
        idle.sendall(get("/", CLOSE))
        assert statuses(receive_all(idle)[-1000:]) == [200]


def test_few_requests_wait_on_one_connection(hasty: BoundedServer) -> None:
    """And those that came before the excess are answered."""
    before = hasty.refused("pipelined")
    answer = hasty.exchange(get("/") * 1_000)
    assert 1 <= len(statuses(answer)) <= 10
    assert set(statuses(answer)) == {200}
    assert hasty.refused("pipelined") == before + 1


# What it relies on


def test_uvicorn_has_the_internals_that_are_overridden() -> None:
    overridden = {
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "send_400_response",
    }
    own = {name for name, _ in inspect.getmembers(BoundedProtocol, inspect.isfunction)}
    assert overridden <= own & set(vars(HttpToolsProtocol))
    source = inspect.getsource(HttpToolsProtocol)
    for relied_on in (
        "self.headers.append((name, value))",
        '"headers": self.headers,',
        "self.send_400_response(msg)",
        "self.pipeline.appendleft((self.cycle, app))",
        "self.cycle.keep_alive = False",
        "self.ws_protocol_class is None",
        "len(self.connections)",
        "self.timeout_keep_alive_task",
    ):
        assert relied_on in source


# Half-closed connections


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (get("/wait"), [200]),
        (get("/wait") + get("/"), [200, 200]),
        (head("POST", "/", "Content-Length: 2") + b"{}", [200]),
        (get("/") + b"GET / HT", [200, 400]),
        (head("POST", "/", "Content-Length: 2") + b"{", [400]),
        (b"", []),
    ],
)
def test_a_client_that_stops_sending_gets_its_answers(
    server: BoundedServer, sent: bytes, expected: list[int]
) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        server.exchange(get("/go", CLOSE))
        answers = receive_all(connection)
    assert statuses(answers) == expected
    assert [problem["request_id"] in answers for problem in json_of(answers) if "code" in problem] == [
        True for status in expected if status == 400
    ]
