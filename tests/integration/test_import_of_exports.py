"""An import of another system's export: trial, identities, what is refused, and doing it again."""

import io
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import asyncpg
import pytest

from hoc.bulk.exports import ExportOptions, ExportRows, System
from hoc.bulk.files import Rejection
from hoc.bulk.importing import ImportCounts, Outcome, import_accounts

GOOGLE = "https://accounts.google.com"
ADA: dict[str, Any] = {
    "user_id": "auth0|1",
    "email": "ada@example.com",
    "email_verified": True,
    "name": "Ada",
    "identities": [{"provider": "google-oauth2", "user_id": "1157"}],
}
LINES: list[dict[str, Any]] = [
    ADA,
    ADA | {"user_id": "auth0|2", "email": "nobody"},
    ADA | {"user_id": "auth0|3", "email": "ADA@example.com", "identities": []},
    ADA | {"user_id": "auth0|4", "email": "eve@example.com"},
    ADA | {"user_id": "auth0|5", "email": "zoe@example.com", "identities": []},
    ADA | {"user_id": "old", "email": "old@example.com", "identities": []},
    ADA | {"user_id": "linked", "email": "linked@example.com", "identities": []},
    ADA
    | {
        "user_id": "auth0|8",
        "email": "max@example.com",
        "identities": [{"provider": "google-oauth2", "user_id": "taken"}],
    },
]
REFUSED = {
    2: "email",
    3: "email: is another account's already",
    4: "identities: one is on an earlier line, or twice on this one",
    7: "user_id: is linked to another account already",
    8: "identities: one is linked to another account already",
}


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute(
        """
        INSERT INTO account.users (user_id, email, email_key)
        VALUES ('old', 'old@example.com', 'old@example.com');
        INSERT INTO account.linked_identities (issuer, subject, user_id)
        VALUES ('', 'linked', 'old'), ('https://accounts.google.com', 'taken', 'old')"""
    )
    yield connection
    await connection.close()


async def run(url: str, *, is_trial: bool) -> tuple[ImportCounts, list[Rejection], list[Outcome]]:
    content = "\n".join(map(json.dumps, LINES)).encode()
    file = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(content)))
    options = ExportOptions(trusts_verified=True, links={"google-oauth2": GOOGLE})
    rejections, outcomes = list[Rejection](), list[Outcome]()
    counts = await import_accounts(
        url,
        ExportRows(file, System.AUTH0, options),
        report=rejections.append,
        progress=lambda _: None,
        tell=outcomes.append if is_trial else None,
    )
    return counts, rejections, outcomes


async def everything(connection: asyncpg.Connection) -> list[Any]:
    tables = "users", "linked_identities", "outbox", "account_totals"
    return [await connection.fetch(f"SELECT * FROM account.{table} ORDER BY 1, 2") for table in tables]


async def test_a_trial_says_what_the_import_then_does(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    before = await everything(connection)
    counts, rejections, outcomes = await run(fresh_database_url, is_trial=True)
    assert await everything(connection) == before
    assert [str(outcome) for outcome in outcomes] == [
        "line 1: would be imported",
        "line 5: would be imported",
        "line 6: is already there",
    ]
    assert {each.line for each in rejections} == REFUSED.keys()
    assert all(each.reason.startswith(REFUSED[each.line]) for each in rejections)
    assert await run(fresh_database_url, is_trial=False) == (counts, rejections, [])
    assert counts == ImportCounts(imported=2, already_there=1, rejected=5)


async def test_an_import_links_identities_once(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    await run(fresh_database_url, is_trial=False)
    linked = await connection.fetch(
        "SELECT subject, user_id FROM account.linked_identities WHERE issuer = $1 ORDER BY subject", GOOGLE
    )
    assert [tuple(row) for row in linked] == [("1157", "auth0|1"), ("taken", "old")]
    recorded = await connection.fetch("SELECT type, user_id FROM account.outbox ORDER BY user_id, type")
    assert [tuple(row) for row in recorded] == [
        ("user.created", "auth0|1"),
        ("user.identity_linked", "auth0|1"),
        ("user.created", "auth0|5"),
    ]
    assert await connection.fetchval("SELECT email_verified FROM account.users WHERE user_id = 'auth0|1'")
    after = await everything(connection)
    counts, _, _ = await run(fresh_database_url, is_trial=False)
    assert counts == ImportCounts(imported=0, already_there=3, rejected=5)
    assert await everything(connection) == after
