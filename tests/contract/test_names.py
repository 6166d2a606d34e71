"""Names of people and tenants: what is refused wherever one is stored, and what is a name in any script."""

from collections.abc import Awaitable

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import AccountsError, AccountServiceError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountUpdateRequest

REFUSED = [
    *("\u200b", "\u200d\u200c", "\u2060\ufeff", "\u00ad", "\ufe0f", "\u0301", "\U000e0041"),
    *("\u3164", "\u115f \u1160", "\uffa0", "\u2800"),
    *("Ada\u202egnp.exe", "\u202aAda", "Ada\u2066Eve\u2069", "Ada\u200f", "Ada\u200e", "\u061cAda"),
    *("Ada\nEve", "Ada\x00", "Ada\x1b[31m", "Ada\u2028Eve", "Ada\x85Eve", "\ud800"),
]
NAMES = [
    *("Acme Inc.", "St. Mary's", "Node.js", "O'Brien & Söhne", "1-800", "!"),
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
    "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner
    "\U0001f469\u200d\U0001f680",  # an astronaut: woman, joiner, rocket
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England's flag, with tags
    "\u2764\ufe0f",  # a heart with a variation selector
    "\u05d3\u05d5\u05d3",  # Hebrew
    "e\u0301",
    "\u682a\u5f0f\u4f1a\u793e",
]


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
async def test_a_name_that_hides_something_is_refused(world: World, name: str) -> None:
    user = await world.add_user()
    new = AccountEnsureRequest(world.new_id(), world.new_email(), name)
    await _refused("/name", world.accounts.ensure_account(new))
    await _refused("/name", world.accounts.update_account_profile(user, AccountUpdateRequest(name=name)))
    async with world.transaction() as session:
        await _refused("/display_name", world.engines.profiles.update(session, user, display_name=name))
        await _refused("/name", world.engines.projects.create(session, user, name=name))


async def _refused(pointer: str, operation: Awaitable[object]) -> None:
    with pytest.raises((AccountsError, AccountServiceError)) as caught:
        await operation
    assert caught.value.status_code == 400
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_in_any_script_is_stored(world: World, name: str) -> None:
    user = await world.add_user()
    account = await world.accounts.update_account_profile(user, AccountUpdateRequest(name=name))
    assert account.name == name
    async with world.transaction() as session:
        changed = await world.engines.profiles.update(session, user, display_name=f"{name} 2")
        made = await world.engines.projects.create(session, user, name=name)
    assert changed.value.display_name == f"{name} 2"
    assert made.value.name == name
