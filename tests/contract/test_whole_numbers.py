"""Only an int is taken where an int is meant: amounts, usage, quotas, pages, versions, days."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from support.world import World

from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.identity import AccountListParams, AccountSearchParams
from hoc.testing.database import MemoryDatabase
from hoc.testing.events import MemoryEventLog

EVENT_FEED = EventFeed(MemoryEventLog(MemoryDatabase()))  # whose checks need no events

Call = Callable[[World, Any, str, str, Any], Awaitable[object]]

CALLS: dict[str, Call] = {
    "amount_cents": lambda it, session, tenant_id, _, value: it.engines.billing.record_invoice(
        session,
        tenant_id,
        invoice_id="in_1",
        period_start=it.clock.now,
        period_end=it.clock.now,
        amount_cents=value,
        status="open",
        description="March",
    ),
    "runs": lambda it, session, tenant_id, _, value: it.engines.usage.record(session, tenant_id, runs=value),
    "tokens": lambda it, session, tenant_id, _, value: it.engines.usage.record(
        session, tenant_id, tokens=value
    ),
    "seconds": lambda it, session, tenant_id, _, value: it.engines.leases.acquire(
        session, tenant_id, "max_workers", "w", seconds=value
    ),
    "max_workers": lambda it, session, tenant_id, _, value: it.engines.projects.override_quotas(
        session, tenant_id, max_workers=value
    ),
    "state": lambda it, session, tenant_id, _, value: it.engines.projects.advance_onboarding(
        session, tenant_id, value
    ),
    "expires_in_days": lambda it, session, tenant_id, owner, value: it.engines.invitations.invite(
        session, tenant_id, owner, email="new@example.com", role="member", expires_in_days=value
    ),
    "expected_version": lambda it, session, tenant_id, owner, value: it.engines.members.change_role(
        session, tenant_id, owner, "usr_other", "admin", expected_version=value
    ),
    "expected_version of a profile": lambda it, session, _, owner, value: it.engines.profiles.update(
        session, owner, display_name="Ada", expected_version=value
    ),
    "limit": lambda it, session, tenant_id, _, value: it.engines.billing.list_invoices(
        session, tenant_id, limit=value
    ),
    "offset": lambda it, session, tenant_id, _, value: it.engines.billing.list_invoices(
        session, tenant_id, offset=value
    ),
    "after": lambda _, session, __, ___, value: EVENT_FEED.read(session, after=value),
    "limit of the feed": lambda _, session, __, ___, value: EVENT_FEED.read(session, limit=value),
    "page": lambda it, _, __, ___, value: it.accounts.list_accounts(AccountListParams(page=value)),
    "page_size": lambda it, _, __, ___, value: it.accounts.list_accounts(AccountListParams(page_size=value)),
    "limit of a search": lambda it, _, __, ___, value: it.accounts.search_accounts(
        AccountSearchParams(query="ada", limit=value)
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_what_is_not_an_int_is_refused(world: World, name: str) -> None:
    tenant_id, owner = await world.tenant()
    for value in (19.99 * 100, 1.0, 0.9, float("nan"), Decimal(1), True, "1"):
        async with world.transaction() as session:
            with pytest.raises(
                InvalidInputError, match=f"{name.split(maxsplit=1)[0]}: must be a whole number"
            ):
                await CALLS[name](world, session, tenant_id, owner, value)
