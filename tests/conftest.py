"""One PostgreSQL for the whole run, started if a test may need it, with a database for each worker."""

import gc
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.memory import keep_files_in_memory
from support.pgbouncer import ADDRESS
from support.postgres import POOLER, TestServer, TestServerOwner, opened

from hoc.database import Database

# They need a PgBouncer: `make test-pooler`.
collect_ignore = [] if POOLER else ["pooler"]

OWNER = pytest.StashKey[TestServerOwner]()

# Other workers keep the machine busy, so the duration of an example says nothing.
settings.register_profile("hoc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hoc")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until everything is loaded
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is None:
        keep_files_in_memory()
        config.stash[OWNER] = TestServerOwner()
    elif pooler := worker.get("pooler"):
        os.environ[ADDRESS] = pooler


@pytest.fixture(scope="session", autouse=True)
def _functions_from_the_first_execution() -> Generator[None]:
    """So that tests through a pooler without prepared statements run as much as they can by functions."""
    with pytest.MonkeyPatch.context() as patch:
        if POOLER:
            patch.setattr("hoc.database.pooled_connection._OFTEN", 1)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: tests also wait, for deadlines and for processes of their own."""
    return 1 + (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the server is."""
    if _only_unit_tests(node.config):
        return
    server = node.config.stash[OWNER].server()
    node.workerinput |= {
        "postgres_url": server.url,
        "postgres_template": server.template,
        "pooler": os.environ.get(ADDRESS),
    }


def pytest_collection_finish() -> None:
    """Have no collection of garbage walk through all modules and tests, which takes half a second."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    if OWNER in config.stash:
        config.stash[OWNER].stop()


def _only_unit_tests(config: pytest.Config) -> bool:
    return all("unit" in Path(argument.partition("::")[0]).parts for argument in config.args)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> TestServer:
    """The server of this run."""
    worker: dict[str, str] | None = getattr(pytestconfig, "workerinput", None)
    if worker is None:
        return pytestconfig.stash[OWNER].server()
    return TestServer(worker["postgres_url"], worker["postgres_template"])


@pytest.fixture(scope="session")
async def database_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """This worker's migrated database. Tests share it: each works on tenants and users of its own."""
    async with postgres_server.new_database() as url:
        yield url


@pytest.fixture
async def fresh_database_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A migrated database that nobody else uses."""
    async with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncGenerator[Database]:
    """The worker's database, as the HTTP adapter has it."""
    async with opened(database_url) as database:
        yield database


@pytest.fixture
async def fresh_database(fresh_database_url: str) -> AsyncGenerator[Database]:
    """The database that nobody else uses."""
    async with opened(fresh_database_url) as database:
        yield database
