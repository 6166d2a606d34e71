"""Preferences and slugs, changed by fifty concurrent requests."""

from support.races import race
from support.seed import add_tenants, add_users, damage, scalar
from support.two_servers import AT_ONCE, TwoServers

ROUNDS = 3


async def test_merges_of_different_preferences_all_survive(servers: TwoServers) -> None:
    for user in await add_users(servers.database, ROUNDS):
        [tenant] = await add_tenants(servers.database, 1, {user: "owner"})
        answers = await race(
            [
                servers.call(
                    n, "PUT", "/profile", user=user, tenant=tenant, body={"preferences": {f"k{n}": n}}
                )
                for n in range(AT_ONCE)
            ]
        )
        assert {answer.status for answer in answers} == {200}
        merged = await scalar(
            servers.database, "SELECT preferences FROM account.users WHERE user_id = :user", user=user
        )
        assert merged == {f"k{n}": n for n in range(AT_ONCE)}


async def test_a_slug_is_given_once(servers: TwoServers) -> None:
    users = await add_users(servers.database, AT_ONCE)
    for number in range(ROUNDS):
        body = {"name": "Same", "slug": f"same-{users[0][-12:]}-{number}"}
        answers = await race(
            [servers.call(n, "POST", "/projects", user=user, body=body) for n, user in enumerate(users)]
        )
        refused = [answer.body["code"] for answer in answers if answer.status == 409]
        assert [answer.status for answer in answers].count(201) == 1
        assert refused == ["slug_taken"] * (AT_ONCE - 1)
    assert await damage(servers.database) == []
