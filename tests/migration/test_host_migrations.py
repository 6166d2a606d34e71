"""A host's own Alembic environment, as docs/how-to/migrations.md has it, in the same database as hoc."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest
from support.command_line import environment
from support.documents import ROOT, blocks

from hoc.migrations import current_revision, include_name

PAGE = ROOT / "docs" / "how-to" / "migrations.md"
HOOK = "        include_name=include_name,\n"


class Host:
    """The page's models and environment in a directory, run by Alembic's command line."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self._directory = directory
        self._url = database_url.replace("postgresql://", "postgresql+asyncpg://")
        (directory / "migrations" / "versions").mkdir(parents=True)
        template = files("alembic") / "templates" / "generic" / "script.py.mako"
        (directory / "migrations" / "script.py.mako").write_text(template.read_text())
        (directory / "alembic.ini").write_text(
            "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\npath_separator = os\n"
        )
        for name in ("models.py", "env.py"):
            [block] = blocks(PAGE, f"python {name}")
            (directory / ("migrations" if name == "env.py" else ".") / name).write_text(block.code)

    def forget_the_hook(self) -> None:
        environment_file = self._directory / "migrations" / "env.py"
        environment_file.write_text(environment_file.read_text().replace(HOOK, ""))

    def alembic(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=self._directory,
            env=environment(HOST_DATABASE_URL=self._url),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def revision(self, name: str) -> str:
        """What autogenerate writes."""
        self.alembic("revision", "--autogenerate", "-m", name, "--rev-id", name)
        [script] = (self._directory / "migrations" / "versions").glob(f"{name}_*.py")
        return script.read_text()


def upgrade_of(script: str) -> str:
    return script.partition("def upgrade")[2].partition("def downgrade")[0]


@pytest.fixture
def host(tmp_path: Path, fresh_database_url: str) -> Host:
    return Host(tmp_path, fresh_database_url)


async def test_a_host_refers_to_hocs_tables_and_drops_none(host: Host, fresh_database_url: str) -> None:
    revision = await current_revision(fresh_database_url)
    first = host.revision("first")
    assert "create_table('desks'" in first
    assert "['account.tenants.tenant_id']" in first
    assert "drop" not in upgrade_of(first)
    host.alembic("upgrade", "head")
    assert "op." not in upgrade_of(host.revision("second"))

    connection = await asyncpg.connect(fresh_database_url)
    try:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute("INSERT INTO desks VALUES (1, 'nowhere', NULL)")
        await connection.execute("INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('t', 't', 't')")
        await connection.execute("INSERT INTO desks VALUES (1, 't', NULL)")
    finally:
        await connection.close()
    assert await current_revision(fresh_database_url) == revision


def test_without_the_hook_hocs_tables_would_be_dropped(host: Host) -> None:
    host.forget_the_hook()
    assert "op.drop_table('tenants', schema='account')" in host.revision("first")


def test_the_hook_leaves_everything_else_to_the_host() -> None:
    assert not include_name("account", "schema", {})
    assert include_name(None, "schema", {})
    assert include_name("accounts", "schema", {})
    assert include_name("account", "table", {"schema_name": None})
