"""What a host's type checker knows of hoc, and what `import hoc` brings."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import hoc

RIGHT = """
import hoc
from hoc.testing import MemoryDatabase, memory_facade

accounts = hoc.Accounts(hoc.Settings(database_url="postgresql://localhost/app", pool_size=5, data_dir="data"))
print(hoc.__version__)


async def use(facade: hoc.AccountsFacade) -> None:
    async with MemoryDatabase().transaction() as session, session.begin_nested():
        await session.flush()
        await facade.invite_user(session, "t", "ada", email="bob@example.com", role="admin")
        await facade.update_user_role(session, "t", "ada", "bob", hoc.Role.VIEWER)
        await facade.projects.change_status(session, "t", "suspended")
        await facade.projects.override_quotas(session, "t", max_workers=3, max_api_keys=None)
"""
WRONG = {
    'await facade.invite_user(session, "t", "ada", email="b@example.com", role="admn")': "arg-type",
    'await facade.list_users(session, "t", status="gone")': "arg-type",
    'await facade.create_support_ticket(session, "t", "ada", subject="", description="", priority="now")': (
        "arg-type"
    ),
    'await facade.projects.override_quotas(session, "t", max_worker=3)': "call-arg",
    'await facade.projects.change_status(session, "t", "paused")': "arg-type",
    "hoc.Settings(database_url=5)": "arg-type",
    "hoc.Acounts": "attr-defined",
}


def test_a_program_with_wrong_words_does_not_pass_mypy(tmp_path: Path) -> None:
    """One run for all: the right lines have no error, and each wrong one has its own."""
    program = tmp_path / "consumer.py"
    lines = [*RIGHT.splitlines(), *(f"        {line}" for line in WRONG)]
    program.write_text("\n".join(lines) + "\n")
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
    )
    errors = [line for line in found.stdout.splitlines() if ": error: " in line]
    first = len(RIGHT.splitlines()) + 1
    assert [(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in errors] == list(
        enumerate(WRONG.values(), first)
    ), found.stdout + found.stderr


def test_the_package_has_the_names_that_one_needs() -> None:
    assert hoc.__version__ == version("hoc")
    assert all(getattr(hoc, name) for name in hoc.__all__)
    assert set(hoc.__all__) <= set(dir(hoc))


def test_importing_the_package_imports_nothing_else() -> None:
    check = "import sys, hoc; assert [name for name in sys.modules if name.startswith('hoc.')] == []"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
