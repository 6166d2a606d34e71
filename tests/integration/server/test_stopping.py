"""`hoc serve` stops without losing a request: raw sockets to real processes."""

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest
from support.bounded_server import get, receive_all, statuses
from support.command_line import RunningServer, serving

CLIENTS = 6
LIVE = get("/health/live", "Connection: close")
PATIENCE_SECONDS = 60


def outcome(address: tuple[str, int]) -> str:
    """Ask once on a connection of its own: the status of the answer, or why there is none."""
    try:
        connection = socket.create_connection(address, timeout=PATIENCE_SECONDS)
    except ConnectionRefusedError:
        return "refused"
    with connection:
        try:
            connection.sendall(LIVE)
            return str(statuses(receive_all(connection)))
        except ConnectionError as problem:
            return type(problem).__name__


def outcomes(address: tuple[str, int], begun: Event) -> Counter[str]:
    """Ask again and again until the server refuses."""
    counted: Counter[str] = Counter()
    while not counted["refused"]:
        counted[outcome(address)] += 1
        if sum(counted.values()) == 10:
            begun.set()
    return counted


def address_of(server: RunningServer) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_stops_answers_whatever_it_accepted(
    fresh_database_url: str, tmp_path: Path, workers: int
) -> None:
    """While it drains it is not ready, serves, and tells clients that keep their connection to leave."""
    with (
        serving(
            tmp_path / "data",
            *("--workers", str(workers)),
            HOC_DATABASE_URL=fresh_database_url,
            HOC_DRAIN_SECONDS="3",
        ) as server,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        address, begun = address_of(server), [Event() for _ in range(CLIENTS)]
        asked = [clients.submit(outcomes, address, each) for each in begun]
        for each in begun:
            assert each.wait(PATIENCE_SECONDS)
        kept = HTTPConnection(*address)
        kept.request("GET", "/health/live")
        assert kept.getresponse().read()
        server.process.terminate()
        while server.get("/health/ready").status_code == 200:
            assert server.process.poll() is None
        assert server.get("/health/live").status_code == 200
        while True:  # a worker that shares the socket may notice its signal later
            kept.request("GET", "/health/live")
            answer = kept.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
            if answer.headers["connection"] == "close":
                break
        counted = sum((each.result(PATIENCE_SECONDS) for each in asked), Counter[str]())
        assert server.process.wait(PATIENCE_SECONDS) == 0
    assert counted.keys() == {"[200]", "refused"}, counted
