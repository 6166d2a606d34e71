"""Addresses in closed networks, such as admin@corp.local, are taken where the setting says so."""

import uuid
from datetime import UTC, datetime

import pytest
from support.console import ConsoleOn

from hoc.bulk.account_rows import account_row
from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_schemas.errors import InvalidInputError


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_setting_decides_on_every_way_in(
    console_on: ConsoleOn, fresh_database_url: str, allowed: bool
) -> None:
    expected = {200, 201, 202} if allowed else {400}
    address = "admin@corp.local"
    async with console_on(fresh_database_url, special_use_domains=allowed) as console:
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        invited = await console.client.post("/users/invite", json={"email": address}, headers=headers)
        assert invited.status_code in expected, invited.text
        admin = console.scoped("accounts:admin")
        body = {"user_id": uuid.uuid4().hex, "email": address, "name": "Admin"}
        ensured = await console.identity.post("/accounts/ensure", json=body, headers=admin)
        assert ensured.status_code in expected, ensured.text
        found = await console.identity.get(f"/accounts/by-email/{address}", headers=admin)
        assert found.status_code in expected, found.text


def test_an_import_takes_them_by_the_setting() -> None:
    row: dict[str, object] = {"user_id": "a", "email": "admin@corp.local", "name": "A"}
    assert account_row(row, 1, datetime.now(UTC), special_use=True)
    with pytest.raises(InvalidInputError, match="email"):
        account_row(row, 1, datetime.now(UTC))


@pytest.mark.parametrize("wrong", ["admin@local", "a b@corp.local", "@corp.local", "admin@-corp.local"])
def test_all_other_rules_hold_for_them(wrong: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_email(wrong, special_use=True)
