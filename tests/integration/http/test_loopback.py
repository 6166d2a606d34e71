"""Development tokens on the wire: a real uvicorn that listens everywhere, started without `hoc serve`."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from support.console import Console, problem_of
from support.servers import ServerProcess, development_keys, server_process

STATS = "/api/v1/accounts/stats"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("development")


@pytest.fixture(scope="module")
def server(console: Console, database_url: str, directory: Path) -> Generator[ServerProcess]:
    del console  # it has made the tables
    with server_process(database_url, directory, host="0.0.0.0") as server:
        yield server


def get(server: ServerProcess, directory: Path, **headers: str) -> httpx.Response:
    token = development_keys(directory).issue("service", scopes=["accounts:admin"])
    return httpx.get(f"{server.url}{STATS}", headers={"Authorization": f"Bearer {token}"} | headers)


def test_a_development_token_counts_on_loopback(server: ServerProcess, directory: Path) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", "localhost", "[::1]"):
        assert get(server, directory, Host=host).status_code == 200


def test_another_name_in_host_is_refused(server: ServerProcess, directory: Path) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "localhost.evil.example", "0.0.0.0"):
        document = problem_of(get(server, directory, Host=host))
        assert (document["status"], document["code"]) == (401, "not_authenticated")
        assert "localhost" in document["detail"]
        assert "evil" not in document["detail"]


def test_a_caller_from_elsewhere_is_nobody(server: ServerProcess, directory: Path) -> None:
    """Uvicorn takes the client's address from a proxy on loopback."""
    document = problem_of(get(server, directory, **{"X-Forwarded-For": "203.0.113.9"}))
    assert (document["status"], document["code"]) == (401, "not_authenticated")
    assert "no valid credentials" in document["detail"]


def test_with_anothers_key_file_the_server_does_not_start(database_url: str, tmp_path: Path) -> None:
    development_keys(tmp_path).issue("u1")
    (tmp_path / "development-key.pem").chmod(0o666)
    with pytest.raises(AssertionError, match="chmod 600"), server_process(database_url, tmp_path):
        pass
