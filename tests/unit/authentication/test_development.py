"""The development key is created once, for its owner only. Its tokens work only with its backend."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, DevelopmentKeys

LOOPBACK = ("127.0.0.1", 8201)


def request(
    token: str,
    *hosts: str,
    server: tuple[str, int | None] | None = LOOPBACK,
    client: tuple[str, int] | None = LOOPBACK,
) -> HTTPConnection:
    headers = [(b"host", host.encode()) for host in hosts or ("localhost:8201",)]
    authorization = (b"authorization", f"Bearer {token}".encode())
    return HTTPConnection(
        {"type": "http", "headers": [*headers, authorization], "server": server, "client": client}
    )


async def test_an_issued_token_is_accepted_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "development.pem"
    token = DevelopmentKeys(path).issue("u1", "t1", "a@example.org", ["accounts:read", "accounts:admin"])
    result = await DevelopmentKeys(path).backend().authenticate(request(token))
    assert result is not None
    assert result[1] == Caller("u1", "t1", "a@example.org", issuer="hoc-development")
    assert result[0].scopes == ["accounts:read", "accounts:admin"]


async def test_expired_and_foreign_tokens_are_rejected(tmp_path: Path) -> None:
    ours, theirs = DevelopmentKeys(tmp_path / "ours.pem"), DevelopmentKeys(tmp_path / "theirs.pem")
    with pytest.raises(AuthenticationError, match="signature"):
        await ours.backend().authenticate(request(theirs.issue("u1")))
    with pytest.raises(AuthenticationError, match="expired"):
        await ours.backend().authenticate(request(ours.issue("u1", lifetime=timedelta(minutes=-1))))


def test_the_key_file_is_private_and_the_only_file(tmp_path: Path) -> None:
    path = tmp_path / "development.pem"
    DevelopmentKeys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


async def test_servers_that_start_together_share_one_key(tmp_path: Path) -> None:
    starters = 8
    for round_number in range(10):
        path = tmp_path / f"{round_number}.pem"
        barrier = Barrier(starters)

        def start(path: Path = path, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return DevelopmentKeys(path).issue("u1")

        with ThreadPoolExecutor(starters) as threads:
            tokens = [start.result() for start in [threads.submit(start) for _ in range(starters)]]
        backend = DevelopmentKeys(path).backend()
        for token in tokens:
            assert await backend.authenticate(request(token)) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"])
async def test_a_token_counts_between_loopback_addresses(tmp_path: Path, address: str) -> None:
    keys = DevelopmentKeys(tmp_path / "development.pem")
    ends = {"server": (address, 8201), "client": (address, 50_000)}
    assert await keys.backend().authenticate(request(keys.issue("u1"), **ends)) is not None


@pytest.mark.parametrize("end", ["server", "client"])
@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "192.0.2.7", "10.0.0.1", "2001:db8::1", "::", "::ffff:192.0.2.7", "localhost", "", "/socket"],
)
async def test_elsewhere_a_token_is_nobodys(tmp_path: Path, end: str, address: str) -> None:
    keys = DevelopmentKeys(tmp_path / "development.pem")
    for elsewhere in ((address, 8201), None):
        ends = {"server": LOOPBACK, "client": LOOPBACK} | {end: elsewhere}
        assert await keys.backend().authenticate(request(keys.issue("u1"), **ends)) is None


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8201", "127.0.0.1", "127.8.9.10:8201", "[::1]", "[::1]:8201", "localhost:"],
)
async def test_a_token_counts_under_this_machines_own_name(tmp_path: Path, host: str) -> None:
    keys = DevelopmentKeys(tmp_path / "development.pem")
    assert await keys.backend().authenticate(request(keys.issue("u1"), host)) is not None


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:8201"],
        ["localhost.evil.example"],
        ["127.0.0.1.evil.example"],
        ["evil.example@localhost"],
        ["localhost@evil.example"],
        ["localhost:evil.example"],
        ["localhost:8201:evil"],
        ["0.0.0.0"],
        ["192.0.2.7"],
        ["[::]"],
        ["[127.0.0.1]"],
        ["::1"],
        ["[::1"],
        ["localhost\n"],
        [""],
        ["localhost", "evil.example"],
        ["localhost", "localhost"],
    ],
)
async def test_a_request_under_another_name_is_rejected(tmp_path: Path, hosts: list[str]) -> None:
    """A page that reaches the server by DNS rebinding sends its own host's name."""
    keys = DevelopmentKeys(tmp_path / "development.pem")
    with pytest.raises(AuthenticationError, match="localhost, 127") as refusal:
        await keys.backend().authenticate(request(keys.issue("u1"), *hosts))
    assert "evil" not in str(refusal.value)


@pytest.mark.parametrize("user_id", ["", "u\x00", "u" * 256])
def test_an_invalid_identifier_is_rejected(tmp_path: Path, user_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        DevelopmentKeys(tmp_path / "development.pem").issue(user_id)


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o666])
def test_a_key_that_others_can_read_or_write_is_rejected(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "development.pem"
    DevelopmentKeys(path)
    path.chmod(mode)
    with pytest.raises(ValueError, match="chmod 600"):
        DevelopmentKeys(path)


def test_another_users_key_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "development.pem"
    DevelopmentKeys(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ValueError, match="belongs to another user"):
        DevelopmentKeys(path)


def test_a_key_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="HOC_DATA_DIR"):
        DevelopmentKeys(tmp_path / "file" / "development.pem")


def test_a_damaged_key_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "development.pem"
    path.touch(mode=0o600)
    with pytest.raises(ValueError, match="damaged"):
        DevelopmentKeys(path)
