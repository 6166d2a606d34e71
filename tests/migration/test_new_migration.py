"""A new migration comes out as ruff wants it."""

import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
from support.command_line import environment
from support.documents import ROOT

PROGRAMS = Path(sys.executable).parent


async def test_a_generated_migration_needs_no_formatting(fresh_database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute("ALTER TABLE account.users DROP COLUMN avatar_url")
    await connection.close()
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    for options in (["--autogenerate", "--rev-id", "8001"], ["--rev-id", "8002", "--head", "8001"]):
        _run(tmp_path, fresh_database_url, "alembic", "revision", "-m", "Add a column", *options)
    written = sorted((tmp_path / "alembic" / "versions").glob("800*.py"))

    assert len(written) == 2
    assert 'op.add_column("users"' in written[0].read_text()
    _run(tmp_path, fresh_database_url, "ruff", "format", "--check", *map(str, written))
    _run(tmp_path, fresh_database_url, "ruff", "check", *map(str, written))


def _run(directory: Path, database_url: str, *command: str) -> None:
    done = subprocess.run(
        [PROGRAMS / command[0], *command[1:]],
        cwd=directory,
        env=environment(HOC_DATABASE_URL=database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
