"""Which modules may import which, and the cost of importing the rules."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

SCHEMAS = "hoc.cus.account.L5_schemas"
REPOSITORY = Path(__file__).parents[2]


def test_every_contract_on_imports_is_kept() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_results_and_errors_need_the_standard_library_alone() -> None:
    graph = grimp.build_graph("hoc", include_external_packages=True, cache_dir=None)
    modules = {SCHEMAS} | graph.find_descendants(SCHEMAS)
    imported = {name for module in modules for name in graph.find_modules_directly_imported_by(module)}
    foreign = {name.partition(".")[0] for name in imported - modules} - sys.stdlib_module_names
    assert foreign == set()


@pytest.mark.parametrize(
    "module",
    ["hoc.cus.account.L5_engines.accounts_facade", "hoc.testing", "hoc.cus.account.L5_schemas.results"],
)
def test_importing_the_rules_loads_neither_database_nor_web(module: str) -> None:
    heavy = {"alembic", "asyncpg", "nats", "pydantic", "sqlalchemy", "starlette", "uvicorn"}
    program = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_a_token_needs_no_database() -> None:
    program = "import sys, hoc.cli.development; print('sqlalchemy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "False\n"
