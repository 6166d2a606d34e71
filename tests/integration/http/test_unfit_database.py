"""On a database that answers, but not as hoc needs it, the service says 503, is not ready, and recovers."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
from support.console import HOST, ConsoleOn, problem_of
from support.outage import TERMINATE_OTHERS
from support.postgres import TestServer
from support.routes import ROUTES
from support.seed import execute
from support.servers import development_keys
from support.waiting import until, until_available

from hoc import readiness
from hoc.database import Database
from hoc.database.migrations import newest_revision
from hoc.migrations import NewerSchemaError, migrate
from hoc.server import create_app


@dataclass(frozen=True, slots=True)
class Service:
    """The whole service in process, and a caller whom it lets through to the database."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    async def statuses(self) -> set[tuple[int, bool]]:
        """The status of every operation, and whether it says when to come again."""
        sent = [
            await self.client.request(**route.request(), headers=self.headers) for route in ROUTES.values()
        ]
        return {(answer.status_code, "retry-after" in answer.headers) for answer in sent}

    async def assert_no_defect(self) -> None:
        assert all(status < 500 for status, _ in await self.statuses())

    async def reason(self) -> str | None:
        """Why it is not ready; None if it is."""
        answers = [await self.client.get(path) for path in ("/health", "/health/ready", "/health/detailed")]
        [status] = {answer.status_code for answer in answers}
        assert {answer.json()["status"] for answer in answers} == {
            "healthy" if status == 200 else "unhealthy"
        }
        reason: str | None = answers[0].json().get("reason")
        assert (reason is None) == (status == 200)
        return reason

    async def until_reason(self, reason: str) -> None:
        """Wait until it is not ready for this reason.

        Until then it may only meet ended connections, or spend the check's time on them.
        """

        async def is_told() -> bool:
            told = await self.reason() or "healthy"
            assert told.startswith((reason, "the connection failed", "the database does not answer"))
            return told.startswith(reason)

        await until(is_told)


@pytest.fixture
def serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], AbstractAsyncContextManager[Service]]:
    @asynccontextmanager
    async def serve(url: str) -> AsyncGenerator[Service]:
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("HOC_DEVELOPMENT", "true")
        monkeypatch.setenv("HOC_INVITATION_LINKS", "true")
        monkeypatch.setenv("HOC_DOMAINS", "true")
        monkeypatch.setenv("HOC_SCIM", "true")
        monkeypatch.setenv("HOC_WEBHOOKS", "true")
        monkeypatch.setenv("HOC_DNS_SERVERS", "127.0.0.1:9")  # where nobody answers
        app = create_app()
        token = development_keys(tmp_path).issue("ada", "ten_1", scopes=["accounts:admin"])
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=HOST))
            yield Service(client, {"Authorization": f"Bearer {token}"})

    return serve


Serving = Callable[[str], AbstractAsyncContextManager[Service]]


async def test_before_the_migration_all_is_503_then_it_recovers(
    postgres_server: TestServer, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """One line is logged, and it names the command."""
    async with postgres_server.new_database(migrated=False) as url, serving(url) as service:
        assert await service.statuses() == {(503, True)}
        assert await service.reason() == "the database has not been migrated: run `hoc migrate`"
        assert (await service.client.get("/health/live")).status_code == 200
        [logged] = [record for record in caplog.records if record.name.startswith("hoc")]
        assert "hoc migrate" in logged.getMessage()
        await migrate(url)
        await until_available(service.client)
        await service.assert_no_defect()


async def test_a_mounted_app_without_its_lifespan_is_503_too(
    postgres_server: TestServer, console_on: ConsoleOn
) -> None:
    async with postgres_server.new_database(migrated=False) as url, console_on(url) as console:
        headers = console.as_("ada", "ten_1", "accounts:admin")
        for route in ROUTES.values():
            answer = await console.client.request(**route.request(), headers=headers)
            assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable"), route
            assert int(answer.headers["retry-after"]) > 0


async def test_a_newer_schema_is_served_with_one_warning(
    fresh_database_url: str, fresh_database: Database, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(fresh_database, "UPDATE account.alembic_version SET version_num = '9999'")
    async with serving(fresh_database_url) as service:
        await until_available(service.client)
        await service.assert_no_defect()
    said = [record.getMessage() for record in caplog.records if record.name == "hoc.database"]
    [warning] = [message for message in said if not message.startswith("the database is unavailable")]
    assert "revision 9999, which a newer version of hoc has made" in warning
    with pytest.raises(NewerSchemaError, match="migrates nothing"):
        await migrate(fresh_database_url)


async def test_an_older_schema_is_503_until_it_is_migrated(
    fresh_database_url: str, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is a revision ahead of the database, as it is between a deployment and its migration."""
    ours = newest_revision()
    with monkeypatch.context() as ahead:
        ahead.setattr(readiness, "revisions", lambda: ("9999", ours))
        ahead.setattr(readiness, "newest_revision", lambda: "9999")
        async with serving(fresh_database_url) as service:
            assert await service.statuses() == {(503, True)}
            reason = await service.reason()
            ahead.undo()
            await until_available(service.client)
            await service.assert_no_defect()
    assert reason == f"the database is at revision {ours}, and must be at 9999: run `hoc migrate`"


@dataclass(frozen=True, slots=True)
class Lesser:
    """A statement that makes the database less than healthy, one that mends it, and the reason given."""

    broken: str
    mended: str
    reason: str


def lesser_states(name: str) -> list[Lesser]:
    return [
        Lesser(
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
            f'ALTER DATABASE "{name}" RESET default_transaction_read_only',
            "the database is read-only",
        ),
        Lesser(
            f'ALTER DATABASE "{name}" CONNECTION LIMIT 0',
            f'ALTER DATABASE "{name}" CONNECTION LIMIT -1',
            "disk, memory or connections are exhausted",
        ),
        Lesser(
            "ALTER SCHEMA account RENAME TO elsewhere",
            "ALTER SCHEMA elsewhere RENAME TO account",
            "the database has not been migrated",
        ),
        Lesser(
            "DO $$ BEGIN EXECUTE 'DROP TABLE account.events_'"
            " || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'); END $$",
            "SELECT 1",  # the migration makes it again
            "the partition of this month's events is missing",
        ),
    ]


async def test_each_lesser_state_is_not_ready_and_never_a_500(
    fresh_database_url: str, postgres_server: TestServer, serving: Serving
) -> None:
    name = fresh_database_url.rpartition("/")[2]

    async def administer(statement: str) -> None:
        """From another database where this one may refuse. New connections meet the change."""
        is_about_it = statement.startswith("ALTER DATABASE")
        connection = await asyncpg.connect(postgres_server.url if is_about_it else fresh_database_url)
        await connection.execute(statement)
        if is_about_it:
            await connection.execute(TERMINATE_OTHERS.replace("current_database()", f"'{name}'"))
        await connection.close()

    async with serving(fresh_database_url) as service:
        for state in lesser_states(name):
            await until_available(service.client)
            await administer(state.broken)
            await service.until_reason(state.reason)
            assert {status for status, _ in await service.statuses() if status >= 500} <= {503}
            await administer(state.mended)
            await migrate(fresh_database_url)
        await until_available(service.client)
        await service.assert_no_defect()
