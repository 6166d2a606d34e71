"""Pages: a walk by cursor and by Link yields every row exactly once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from support.console import Console

ROWS = 7
SAME_MOMENT = datetime(2026, 3, 14, 10, tzinfo=UTC)


async def fill(console: Console) -> tuple[str, str]:
    """A tenant with `ROWS` of everything, all of the same moment; the caller belongs to `ROWS` tenants."""
    tenant_id, owner = await console.add_tenant()
    for _ in range(ROWS - 1):
        await console.add_member(tenant_id, owner)
        await console.add_tenant(owner)
    await console.invite(tenant_id, owner)  # the other six are those of the members
    for number in range(ROWS):
        async with console.database.transaction() as session:
            await console.engines.support.create_ticket(
                session, tenant_id, owner, subject=f"Ticket {number}", description="Please."
            )
            await console.engines.billing.record_invoice(
                session,
                tenant_id,
                invoice_id=f"inv-{number}",
                period_start=SAME_MOMENT,
                period_end=SAME_MOMENT,
                amount_cents=100,
                status="paid",
                description="A month",
            )
    async with console.database.transaction() as session:
        values = {"now": SAME_MOMENT, "tenant": tenant_id, "user": owner}
        for statement in (
            "UPDATE account.memberships SET joined_at = :now WHERE tenant_id = :tenant OR user_id = :user",
            "UPDATE account.support_tickets SET created_at = :now WHERE tenant_id = :tenant",
            "UPDATE account.invitations SET created_at = :now WHERE tenant_id = :tenant",
        ):
            bound = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), bound)
    return tenant_id, owner


@pytest.fixture(scope="module")
async def filled(console: Console) -> tuple[str, str]:
    return await fill(console)


@pytest.mark.parametrize(
    ("path", "field", "id_", "rows"),
    [
        ("/projects", "items", "project_id", 1),
        ("/memberships", "memberships", "tenant_id", ROWS),
        ("/users", "items", "user_id", ROWS),
        ("/users?role=member&status=active", "items", "user_id", ROWS - 1),
        ("/tenant/users", "users", "user_id", ROWS),
        ("/invitations", "invitations", "id", ROWS),
        ("/invitations?status=accepted", "invitations", "id", ROWS - 1),
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


async def test_offsets_yield_the_same_rows(console: Console, filled: tuple[str, str]) -> None:
    tenant_id, owner = filled
    headers = console.as_(owner, tenant_id)
    whole = (await console.client.get("/users", headers=headers)).json()["items"]
    by_offset = [
        (
            await console.client.get("/users", params={"limit": "1", "offset": str(offset)}, headers=headers)
        ).json()
        for offset in range(ROWS + 1)
    ]
    assert [page["items"] for page in by_offset] == [*([row] for row in whole), []]
    assert {page["total"] for page in by_offset} == {ROWS}
