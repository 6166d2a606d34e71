"""Changes of an address confirmed at once, on two servers: one account has it in the end."""

import asyncio
import uuid

import pytest
from support.postgres import opened
from support.races import Request, meeting, race, rewrite
from support.seed import add_users, damage, execute, scalar
from support.two_servers import AT_ONCE, TwoServers

from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_schemas.errors import LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest
from hoc.cus.account.wiring import create_account_service
from hoc.database import Database

RIVALS = 10
ROUNDS = 20
HOLDER = "SELECT min(user_id) FROM account.users WHERE email_key = :email HAVING count(*) = 1"


async def test_a_change_confirmed_fifty_times_is_made_once(servers: TwoServers) -> None:
    [user] = await add_users(servers.database, 1)
    email = _new_email()
    token = await _add_change(servers.database, user, email)
    answers = await race([_confirm(servers, n, token) for n in range(AT_ONCE)])
    assert {answer.status for answer in answers} == {200}
    assert await scalar(servers.database, HOLDER, email=email) == user
    version = "SELECT version FROM account.users WHERE user_id = :user"
    assert await scalar(servers.database, version, user=user) == 2
    assert await damage(servers.database) == []


async def test_one_of_many_accounts_confirms_an_address(servers: TwoServers) -> None:
    for _ in range(ROUNDS // 4):
        rivals, email = await add_users(servers.database, RIVALS), _new_email()
        tokens = [await _add_change(servers.database, rival, email) for rival in rivals]
        answers = await race([_confirm(servers, n, token) for n, token in enumerate(tokens)])
        statuses = [answer.status for answer in answers]
        assert sorted(statuses) == [200] + [409] * (RIVALS - 1)
        assert await scalar(servers.database, HOLDER, email=email) == rivals[statuses.index(200)]
    assert await damage(servers.database) == []


@pytest.mark.parametrize("is_held", [False, True])
async def test_a_change_or_a_verified_newcomer_has_an_address(servers: TwoServers, *, is_held: bool) -> None:
    """Also when somebody who has not verified it has it before."""
    for number, user in enumerate(await add_users(servers.database, ROUNDS)):
        email, newcomer = _new_email(), uuid.uuid4().hex
        if is_held:
            squatter = {"user_id": f"squatter-{newcomer}", "email": email, "name": "Squatter"}
            [held] = await race([servers.identity(0, "POST", "/ensure", squatter)])
            assert held.status == 201
        token = await _add_change(servers.database, user, email)
        body = {"user_id": newcomer, "email": email, "name": "Ada", "email_verified": True}
        confirmed, ensured = await race(
            [_confirm(servers, number, token), servers.identity(number + 1, "POST", "/ensure", body)]
        )
        owner = await scalar(servers.database, HOLDER, email=email)
        outcome = (confirmed.status, ensured.status, owner)
        assert outcome in {(200, 400, user), (200, 409, user), (200, 200, user), (409, 201, newcomer)}
    assert await damage(servers.database) == []


async def test_a_change_is_confirmed_or_cancelled(servers: TwoServers) -> None:
    for number, user in enumerate(await add_users(servers.database, ROUNDS)):
        email = _new_email()
        token = await _add_change(servers.database, user, email)
        confirmed, cancelled = await race(
            [
                _confirm(servers, number, token),
                servers.identity(number + 1, "DELETE", f"/profile/{user}/email-change"),
            ]
        )
        assert (confirmed.status, cancelled.status) in {(200, 200), (404, 200)}
        has_it = await scalar(servers.database, HOLDER, email=email) == user
        assert has_it is (confirmed.status == 200)


async def test_accounts_that_take_each_others_address_are_served(servers: TwoServers) -> None:
    """Each confirmation displaces the other account, which has not verified its address."""
    for number in range(ROUNDS):
        users = await add_users(servers.database, 2)
        verified = "UPDATE account.users SET email_verified = false WHERE user_id = ANY(:users)"
        await execute(servers.database, verified, users=users)
        one, other = users
        tokens = [
            await _add_change(servers.database, one, f"{other}@example.com"),
            await _add_change(servers.database, other, f"{one}@example.com"),
        ]
        answers = await race([_confirm(servers, number + n, token) for n, token in enumerate(tokens)])
        assert {answer.status for answer in answers} <= {200, 409}
        assert 200 in {answer.status for answer in answers}
    assert await damage(servers.database) == []


THE_CHANGE = "SELECT FROM account.email_changes WHERE user_id = $1 FOR UPDATE"
LOCK_CHANGE = (r"(JOIN account\.email_changes\s[^()]*)FOR NO KEY UPDATE$", r"\1")
LOCK_ACCOUNT = (
    r"(?s)^(SELECT account\.users\.user_id, account\.users\.email_key\s.*)FOR NO KEY UPDATE$",
    r"\1",
)


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_cancelled_change_is_confirmed_without_a_lock_only(
    database_url: str, *, taken_out: bool
) -> None:
    async with opened(database_url) as database:
        if taken_out:
            rewrite(database, LOCK_CHANGE)
        [user] = await add_users(database, 1)
        token = await _add_change(database, user, _new_email())
        accounts = create_account_service(database)
        async with meeting(database_url, THE_CHANGE, user) as held:
            cancelling = await held.join(accounts.cancel_email_change(user))
            confirming = await held.join(accounts.confirm_email_change(token))
        await cancelling
        [outcome] = await asyncio.gather(confirming, return_exceptions=True)
        assert isinstance(outcome, NotFoundError) is not taken_out


@pytest.mark.parametrize("taken_out", [False, True])
async def test_requests_at_once_pass_their_cap_without_a_lock_only(
    database_url: str, *, taken_out: bool
) -> None:
    async with opened(database_url) as database:
        if taken_out:
            rewrite(database, LOCK_ACCOUNT)
        [user] = await add_users(database, 1)
        await _add_change(database, user, _new_email(), requests=4)
        accounts = create_account_service(database)
        async with meeting(database_url, THE_CHANGE, user) as held:
            asking = [
                await held.join(accounts.update_own_profile(user, AccountUpdateRequest(email=_new_email())))
                for _ in range(2)
            ]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, LimitExceededError)]
        assert len(refused) == (0 if taken_out else 1)


THE_COUNT = "SELECT FROM account.recipient_limits WHERE email_key = $1 FOR UPDATE"
RECIPIENT_CAP = (r"WHERE account\.recipient_limits\.sent < \S+", "")


@pytest.mark.parametrize("taken_out", [False, True])
async def test_mails_at_once_pass_a_mailbox_cap_without_it_only(
    database_url: str, *, taken_out: bool
) -> None:
    """The statement counts the mail only if the cap still allows it once it has waited for the count."""
    async with opened(database_url) as database:
        if taken_out:
            rewrite(database, RECIPIENT_CAP)
        email = _new_email()
        await execute(
            database,
            "INSERT INTO account.recipient_limits (email_key, day, sent)"
            " VALUES (:email, (now() AT TIME ZONE 'UTC')::date, 1)",
            email=email,
        )
        accounts = create_account_service(database, mails_per_recipient_per_day=2)
        async with meeting(database_url, THE_COUNT, email) as held:
            asking = [
                await held.join(accounts.update_own_profile(user, AccountUpdateRequest(email=email)))
                for user in await add_users(database, 2)
            ]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, LimitExceededError)]
        assert len(refused) == (0 if taken_out else 1)


def _new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def _confirm(servers: TwoServers, server: int, token: str) -> Request:
    path = "/api/v1/accounts/email-changes/confirm"
    return Request(servers.ports[server % 2], "POST", path, body={"token": token})


async def _add_change(database: Database, user_id: str, email: str, *, requests: int = 1) -> str:
    """Store a change whose mail has been sent. Returns its token."""
    token = f"{user_id}.{uuid.uuid4().hex}"
    await execute(
        database,
        "INSERT INTO account.email_changes"
        " (user_id, email, email_key, token_hash, requested_at, expires_at, day, requests)"
        " VALUES (:user, :email, :email, :hash, now(), now() + interval '1 day',"
        " (now() AT TIME ZONE 'UTC')::date, :requests)",
        user=user_id,
        email=email,
        hash=token_hash(token),
        requests=requests,
    )
    return token
