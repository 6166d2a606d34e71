"""Output that cannot be written ends a command with one line, and a closed pipe ends it quietly."""

import resource
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import text
from support.command_line import HOC, environment, hoc
from support.postgres import TestServer

from hoc.database import create_engine

FULL = "cannot be written: No space left on device."
MANY = """INSERT INTO account.users (user_id, email, email_key, name)
    SELECT 'u' || i, i || '@example.com', i || '@example.com', repeat('Ada ', 20)
    FROM generate_series(1, 60000) i"""


@pytest.fixture(scope="module")
async def full_database_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A database whose export is larger than all buffers on its way."""
    async with postgres_server.new_database() as url:
        engine = create_engine(url, statement_timeout_ms=60_000)
        async with engine.begin() as connection:
            await connection.execute(text(MANY))
        await engine.dispose()
        yield url


def run(command: str, url: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `hoc` is the command and the status is that of the pipe's first."""
    return subprocess.run(
        ["bash", "-c", f'hoc() {{ "{HOC}" "$@"; }}; {command}; exit ${{PIPESTATUS[0]}}'],
        env=environment(HOC_DATABASE_URL=url, HOC_DATA_DIR=str(data)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "export", "export --format jsonl", "events asyncapi", "info"],
)
def test_a_full_device_is_named_in_one_line(full_database_url: str, tmp_path: Path, command: str) -> None:
    done = run(f"hoc {command} >/dev/full", full_database_url, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"hoc: standard output {FULL}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["export --format jsonl", "events asyncapi"])
def test_a_closed_pipe_ends_a_command_quietly(full_database_url: str, tmp_path: Path, command: str) -> None:
    done = run(f"hoc {command} | true", full_database_url, tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_export_to_head_ends_quietly(full_database_url: str, tmp_path: Path) -> None:
    done = run("hoc export | head -1", full_database_url, tmp_path)
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith("user_id,email,")


def test_an_export_to_a_device_that_is_full(full_database_url: str, tmp_path: Path) -> None:
    done = hoc("export", "/dev/full", HOC_DATABASE_URL=full_database_url, HOC_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, f"hoc: /dev/full {FULL}\n")
    assert Path("/dev/full").is_char_device()


def test_an_export_that_does_not_fit_leaves_no_file(full_database_url: str, tmp_path: Path) -> None:
    """A limit on the file's size stands for a file system that fills up."""
    file = tmp_path / "out.csv"
    file.write_text("before")
    done = subprocess.run(
        [HOC, "export", file],
        env=environment(HOC_DATABASE_URL=full_database_url, HOC_DATA_DIR=str(tmp_path)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"hoc: {file} cannot be written: File too large.\n")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "before"


@pytest.mark.parametrize("target", ["--rejects /dev/full", "2>/dev/full", ">/dev/full"])
def test_an_import_that_cannot_report_fails(full_database_url: str, tmp_path: Path, target: str) -> None:
    file = tmp_path / "in.csv"
    file.write_text("user_id,email,name\na,no address,A\n")
    done = run(f"hoc import {file} {target}", full_database_url, tmp_path)
    assert done.returncode not in {0, None}
    assert "Traceback" not in done.stderr
    if "2>" not in target:
        assert FULL in done.stderr
