"""The development key is created once, for its owner only. Its tokens work only with its backend."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, DevelopmentKeys


def request(token: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})


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


@pytest.mark.parametrize("user_id", ["", "u\x00", "u" * 256])
def test_an_invalid_identifier_is_rejected(tmp_path: Path, user_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        DevelopmentKeys(tmp_path / "development.pem").issue(user_id)


def test_a_key_that_others_can_read_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "development.pem"
    DevelopmentKeys(path)
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        DevelopmentKeys(path)


def test_a_damaged_key_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "development.pem"
    path.touch(mode=0o600)
    with pytest.raises(ValueError, match="damaged"):
        DevelopmentKeys(path)
