"""Pages: a walk by cursor and by Link yields every row exactly once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.console import Console
from support.seed import execute

ROWS = 7
SAME_MOMENT = datetime(2026, 3, 14, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
async def filled(console: Console) -> tuple[str, str]:
    """A tenant with `ROWS` of everything, all of one moment; its owner, who belongs to `ROWS` tenants.

    `ROWS` other tenants have invited the owner.
    """
    email = console.new_email()
    tenant_id, owner = await console.tenant(await console.add_user(email))
    await console.fill(tenant_id, owner, ROWS)
    await console.invite(tenant_id, owner)
    for _ in range(ROWS - 1):
        await console.tenant(owner)
    for _ in range(ROWS):
        await console.invite(*await console.tenant(), email)
    received = "UPDATE account.invitations SET created_at = :now WHERE email_key = :email"
    await execute(console.database, received, now=SAME_MOMENT, email=email)
    for table, times in (
        ("memberships", "joined_at = :now"),
        ("support_tickets", "created_at = :now"),
        ("invitations", "created_at = :now"),
        ("invoices", "period_start = :now, period_end = :now"),
    ):
        whose = "tenant_id IN (SELECT tenant_id FROM account.memberships WHERE user_id = :owner)"
        statement = f"UPDATE account.{table} SET {times} WHERE {whose}"
        await execute(console.database, statement, now=SAME_MOMENT, owner=owner)
    return tenant_id, owner


@pytest.mark.parametrize(
    ("path", "field", "id_", "rows"),
    [
        ("/projects", "items", "project_id", 1),
        ("/memberships", "memberships", "tenant_id", ROWS),
        ("/users", "items", "user_id", ROWS + 1),
        ("/users?role=member&status=active", "items", "user_id", ROWS),
        ("/tenant/users", "users", "user_id", ROWS + 1),
        ("/invitations", "invitations", "id", ROWS + 1),
        ("/invitations?status=accepted", "invitations", "id", ROWS),
        ("/received-invitations", "invitations", "id", ROWS),
        ("/support/tickets", "tickets", "id", ROWS),
        ("/billing/invoices", "invoices", "invoice_id", ROWS),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_a_walk_yields_every_row_once(  # noqa: PLR0917 - pytest passes by name
    console: Console, filled: tuple[str, str], path: str, field: str, id_: str, rows: int, limit: int
) -> None:
    tenant_id, owner = filled
    headers = console.as_(owner, tenant_id)
    found: list[str] = []
    link = f"{path}{'&' if '?' in path else '?'}limit={limit}"
    for _ in range(rows + 1):
        answer = await console.client.get(link, headers=headers)
        page: dict[str, Any] = answer.json()
        assert page["total"] == rows
        assert len(page[field]) <= limit
        found += [row[id_] for row in page[field]]
        assert ("link" in answer.headers) == (page["next_cursor"] is not None)
        if "link" not in answer.headers:
            break
        assert answer.links["next"]["url"].endswith(f"cursor={page['next_cursor']}")
        link = answer.links["next"]["url"].removeprefix("/accounts")
    assert len(found) == len(set(found)) == rows


async def test_offsets_yield_the_rows_of_a_walk(console: Console, filled: tuple[str, str]) -> None:
    tenant_id, owner = filled
    headers = console.as_(owner, tenant_id)
    whole = (await console.client.get("/users", headers=headers)).json()["items"]
    by_offset = [
        (
            await console.client.get("/users", params={"limit": "1", "offset": str(offset)}, headers=headers)
        ).json()
        for offset in range(ROWS + 2)
    ]
    assert [page["items"] for page in by_offset] == [*([row] for row in whole), []]
    assert {page["total"] for page in by_offset} == {ROWS + 1}
