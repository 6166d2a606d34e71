"""scim2-server's own contract of a storage, on real PostgreSQL."""

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from threading import Thread
from typing import Any, TypeVar, cast

import pytest
from scim2_models import ScimProvider
from scim2_server.testing import AsyncScimStorageContract, BlockingStorage
from support.pgbouncer import through
from support.postgres import POOLER
from support.seed import execute

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits
from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.cus.account.wiring import open_database, postgres_engines
from hoc.scim.provider import PROVIDER
from hoc.scim.storage import TenantStorage

T = TypeVar("T")


class LoopBeside:
    """An event loop in a thread, with a pool of connections: the contract's tests are not async."""

    def __init__(self, url: str) -> None:
        self.database = open_database(through(url), pool_size=2, pooler=POOLER)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self.run(self.database.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def beside(database_url: str) -> Iterator[LoopBeside]:
    beside = LoopBeside(database_url)
    yield beside
    beside.stop()


@pytest.fixture
def tenant_id(beside: LoopBeside) -> str:
    tenant_id = f"ten_{uuid.uuid4().hex}"
    insert = (
        "INSERT INTO account.tenants (tenant_id, name, slug, plan) VALUES (:id, 'Acme', :slug, 'enterprise')"
    )
    beside.run(execute(beside.database, insert, id=tenant_id, slug=tenant_id[-32:]))
    return tenant_id


class TestStorageContract(AsyncScimStorageContract):
    @pytest.fixture
    def provider(self) -> ScimProvider:
        return PROVIDER

    @pytest.fixture
    def storage(self, beside: LoopBeside, tenant_id: str) -> BlockingStorage:
        engines = postgres_engines(
            Options(special_use_domains=True, invitation_limits=InvitationLimits(1_000_000, 1_000_000))
        )
        caller = ScimCaller(tenant_id, "sct_1")
        storage = TenantStorage(caller, beside.database.transaction, engines.provisioning)
        return BlockingStorage(storage, cast("asyncio.Runner", beside))
