"""When the database cannot answer, hoc answers 503 at once, leaves no half-done change, and recovers."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import pytest
from sqlalchemy import text
from support.console import ConsoleOn, problem_of
from support.outage import TERMINATE_OTHERS
from support.races import WAITING_FOR_LOCKS
from support.seed import execute, scalar
from support.waiting import until

from hoc.database import Database

LISTS = ("/projects", "/users", "/tenant/users", "/invitations", "/support/tickets", "/billing/invoices")


def assert_unavailable(answer: httpx.Response, *others: str) -> None:
    assert answer.status_code == 503
    assert problem_of(answer)["code"] in {"unavailable", *others}
    assert int(answer.headers["retry-after"]) > 0


async def test_an_exhausted_pool_soon_ends_in_503(console_on: ConsoleOn, fresh_database_url: str) -> None:
    async with console_on(fresh_database_url, pool_size=1) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        async with console.transaction() as session:
            await session.execute(text("SELECT 1"))
            answers = await asyncio.wait_for(
                asyncio.gather(
                    console.client.get("/users", headers=headers),
                    console.client.put("/profile", json={"display_name": "Me"}, headers=headers),
                    console.client.post("/projects", json={"name": "Mine"}, headers=headers),
                ),
                timeout=10,  # far from the 30 s that a pool waits by default
            )
        for answer in answers:
            assert_unavailable(answer)
        assert (await console.client.get("/users", headers=headers)).status_code == 200


async def test_statements_that_a_pooler_lost_end_in_one_503(
    console_on: ConsoleOn, fresh_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what to set. The next request prepares them on another connection."""
    async with console_on(fresh_database_url, pool_size=1) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        assert (await console.client.get("/users", headers=headers)).status_code == 200
        await execute(console.served.database, "DEALLOCATE ALL")
        assert_unavailable(await console.client.get("/users", headers=headers))
        assert "if a pooler is between, set HOC_POOLER=transaction" in caplog.text
        assert (await console.client.get("/users", headers=headers)).status_code == 200


async def test_a_held_lock_ends_in_503(console_on: ConsoleOn, fresh_database_url: str) -> None:
    async with console_on(fresh_database_url, pool_size=2, statement_timeout_ms=200) as console:
        tenant_id, owner = await console.tenant()
        viewer = await console.join(tenant_id, owner, "viewer")
        headers = console.as_(owner, tenant_id)
        path, body = f"/users/{viewer}/role", {"role": "member"}
        async with console.transaction() as session:
            await session.execute(
                text("SELECT 1 FROM account.tenants WHERE tenant_id = :id FOR UPDATE"), {"id": tenant_id}
            )
            assert_unavailable(await console.client.put(path, json=body, headers=headers))
            assert (await console.client.get("/users", headers=headers)).status_code == 200
        unchanged = await console.client.get(f"/users/{viewer}", headers=headers)
        assert unchanged.json()["role"] == "viewer"
        assert (await console.client.put(path, json=body, headers=headers)).status_code == 200


async def test_a_database_that_takes_no_connections_ends_in_503(
    console_on: ConsoleOn, fresh_database_url: str, fresh_database: Database
) -> None:
    name = fresh_database_url.rpartition("/")[2]
    async with console_on(fresh_database_url) as console:
        caller = console.as_("usr_1", "ten_1")
        async with fresh_database.reading() as session:
            await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'))
            assert_unavailable(await console.client.get("/users", headers=caller))
            assert_unavailable(await console.client.post("/projects", json={"name": "Mine"}, headers=caller))
            await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'))
        assert (await console.client.get("/users", headers=caller)).status_code == 403


async def test_terminated_backends_make_no_wrong_answer(
    console_on: ConsoleOn, fresh_database_url: str, fresh_database: Database
) -> None:
    async with console_on(fresh_database_url, pool_size=3) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        async with console.transaction() as session:
            await console.facade.support.create_ticket(
                session, tenant_id, owner, subject="Help", description="Please."
            )
        right = {path: (await console.client.get(path, headers=headers)).json() for path in LISTS}
        acknowledged = 0
        for round_ in range(10):
            await execute(fresh_database, TERMINATE_OTHERS)
            for path in LISTS:
                answer = await console.client.get(path, headers=headers)
                if answer.is_error:
                    assert_unavailable(answer)
                else:
                    assert answer.json() == right[path]
            body = {"name": f"Round {round_}"}
            written = await console.client.post("/projects", json=body, headers=headers)
            if written.is_error:
                assert_unavailable(written, "outcome_unknown")
            acknowledged += written.is_success
        # Each broken connection fails once. Then everything is as before, without a restart.
        answers: list[httpx.Response] = []
        for _ in range(10):
            answers = [await console.client.get(path, headers=headers) for path in LISTS]
            if all(answer.is_success for answer in answers):
                break
        assert {path: answer.json() for path, answer in zip(LISTS, answers, strict=True)} == right
        memberships = (await console.client.get("/memberships", headers=headers)).json()
        assert memberships["total"] == acknowledged + 1


@pytest.mark.parametrize("route", ["POST /support/tickets", "PUT /profile", "GET /users"])
async def test_a_client_that_goes_away_leaves_all_or_nothing(
    console_on: ConsoleOn, fresh_database_url: str, fresh_database: Database, route: str
) -> None:
    """A request is cancelled while it waits for a lock; its connection then serves the next caller."""

    def waiting(number: int) -> Callable[[], Awaitable[object]]:
        return partial(scalar, fresh_database, f"SELECT ({WAITING_FOR_LOCKS}) = {number}")

    async with console_on(fresh_database_url, pool_size=1) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id) | {"Idempotency-Key": "once"}
        method, _, path = route.partition(" ")
        bodies = {
            "POST /support/tickets": {"subject": "Help", "description": "Please."},
            "PUT /profile": {"display_name": "Gone"},
        }
        body = bodies.get(route)
        async with fresh_database.transaction() as session:
            await session.execute(
                text(
                    "LOCK TABLE account.support_tickets, account.users, account.memberships"
                    " IN ACCESS EXCLUSIVE MODE"
                )
            )
            call = asyncio.create_task(console.client.request(method, path, json=body, headers=headers))
            await until(waiting(1))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            if method != "GET":  # a shared read is finished: others may be waiting for it
                await until(waiting(0))
        profile = await console.client.get("/profile", headers=headers)
        assert profile.json()["name"] is None
        assert (await console.client.get("/support/tickets", headers=headers)).json()["total"] == 0
        again = await console.client.request(method, path, json=body, headers=headers)
        assert again.is_success
        console.database.enter_loop()  # now what nobody uses is in the pool
        assert "Current Checked out connections: 0" in console.database.engine.pool.status()


async def test_nothing_of_one_caller_reaches_the_next(console_on: ConsoleOn, fresh_database_url: str) -> None:
    """One connection for all: after a commit, a refusal, a timeout and a defect it carries no state."""
    async with console_on(fresh_database_url, pool_size=1) as console:
        state = text(
            "SELECT current_setting('application_name'), current_setting('TimeZone'),"
            " current_setting('transaction_isolation'), current_setting('statement_timeout'),"
            " pg_current_xact_id_if_assigned()::text, (SELECT count(*) FROM pg_prepared_xacts),"
            " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid')"
        )

        async def current() -> tuple[object, ...]:
            async with console.database.reading() as session:
                return tuple((await session.execute(state)).all()[0])

        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        fresh = await current()
        for method, path, body, status in (
            ("PUT", "/profile", {"display_name": "Me"}, 200),
            ("POST", "/projects", {"name": "x", "slug": "taken"}, 201),
            ("POST", "/projects", {"name": "x", "slug": "taken"}, 409),
            ("DELETE", f"/users/{owner}", None, 400),
            ("POST", "/tenant/leave", None, 409),
            ("GET", "/users", None, 200),
        ):
            answer = await console.client.request(method, path, json=body, headers=headers)
            assert answer.status_code == status
            assert await current() == fresh
