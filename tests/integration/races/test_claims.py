"""Subjects that claim accounts and addresses at once: one has them in the end, and the others are told."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from support.identities import PRIMARY_ISSUER
from support.postgres import opened
from support.races import meeting, race, rewrite
from support.seed import add_invitation, add_tenants, add_users, damage, execute, scalar
from support.two_servers import AT_ONCE, TwoServers

from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_schemas.errors import AccountValidationError, ConflictError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountProfileResponse
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database

RIVALS = 20
ROUNDS = 5
OTHER = "https://other.example"
ONE_HOLDER = "SELECT min(user_id) FROM account.users WHERE email_key = :email HAVING count(*) = 1"
LINKS = "SELECT count(*) FROM account.linked_identities WHERE user_id = :user"
THE_ACCOUNT = "SELECT FROM account.users WHERE user_id = $1 FOR UPDATE"

# Undone in the end; until then it holds back who signs up with the address, after the subject is locked.
HAS_ADDRESS = "INSERT INTO account.users (user_id, email, email_key) VALUES ($1, $2, $2)"

LOCK_HOLDER = (
    r"(?s)(FROM account\.users\s+WHERE account\.users\.email_key = [^()]*)FOR NO KEY UPDATE$",
    r"\1",
)
LOCK_SUBJECT = (r"pg_advisory_xact_lock\(", "pg_advisory_xact_lock_shared(")
LOCK_ACCOUNT = (
    r"(?s)^(SELECT account\.users\.user_id, account\.users\.has_generated_id\s.*)FOR NO KEY UPDATE$",
    r"\1",
)

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


async def test_one_of_many_subjects_claims_an_account(servers: TwoServers) -> None:
    for _ in range(ROUNDS):
        user, email = await _unclaimed(servers.database)
        bodies = [_sign_up(email) | ({"issuer": OTHER} if number % 2 else {}) for number in range(RIVALS)]
        answers = await race([servers.identity(n, "POST", "/ensure", body) for n, body in enumerate(bodies)])
        assert [answer.body["user_id"] for answer in answers if answer.status == 200] == [user]
        others = [(answer.status, answer.body["code"]) for answer in answers if answer.status != 200]
        assert others == [(400, "address_claimed")] * (RIVALS - 1)
        assert await scalar(servers.database, LINKS, user=user) == 1
        assert await scalar(servers.database, ONE_HOLDER, email=email) == user
    assert await damage(servers.database) == []


@pytest.mark.parametrize("issuer", [None, OTHER])
async def test_a_subject_ensured_fifty_times_has_one_account(servers: TwoServers, issuer: str | None) -> None:
    for is_invited in (False, True):
        email = (await _unclaimed(servers.database))[1] if is_invited else _new_email()
        template = servers.identity(0, "POST", "/ensure", _sign_up(email) | {"issuer": issuer})
        answers = await race([replace(template, port=servers.ports[n % 2]) for n in range(AT_ONCE)])
        statuses = [answer.status for answer in answers]
        assert sorted(statuses) == [200] * (AT_ONCE - 1) + [200 if is_invited else 201]
        assert {answer.body["user_id"] for answer in answers} == {
            await scalar(servers.database, ONE_HOLDER, email=email)
        }
    assert await damage(servers.database) == []


async def test_an_address_is_confirmed_or_ensured(servers: TwoServers) -> None:
    for number, user in enumerate(await add_users(servers.database, ROUNDS * 4)):
        email, token = _new_email(), f"{user}.{uuid.uuid4().hex}"
        await _add_change(servers.database, user, email, token)
        confirm = servers.identity(number, "POST", "/email-changes/confirm", {"token": token})
        body = _sign_up(email)
        confirmed, ensured = await race([confirm, servers.identity(number + 1, "POST", "/ensure", body)])
        assert (confirmed.status, ensured.status) in {(200, 400), (409, 201)}
        winner = user if confirmed.status == 200 else body["user_id"]
        assert await scalar(servers.database, ONE_HOLDER, email=email) == winner
    assert await damage(servers.database) == []


async def test_a_subject_accepts_and_signs_up_at_once(servers: TwoServers) -> None:
    """With the same address: whichever is first, the member is the subject's account."""
    [owner] = await add_users(servers.database, 1)
    for number, tenant in enumerate(await add_tenants(servers.database, ROUNDS * 2, {owner: "owner"})):
        invitation = await add_invitation(servers.database, tenant, owner)
        body = _sign_up(invitation.email)
        accept = servers.call(number, "POST", invitation.accept_path, body={"token": invitation.token})
        accepted, ensured = await race([accept, servers.identity(number + 1, "POST", "/ensure", body)])
        assert (accepted.status, ensured.status) in {(200, 200), (200, 201)}
        member = "SELECT user_id FROM account.memberships WHERE tenant_id = :tenant AND role = 'member'"
        assert await scalar(servers.database, member, tenant=tenant) == ensured.body["user_id"]
    assert await damage(servers.database) == []


@in_place_and_taken_out
async def test_the_lock_of_an_address_lets_one_claim_it(database_url: str, *, taken_out: bool) -> None:
    async with opened(database_url) as database:
        user, email = await _unclaimed(database)
        if taken_out:
            rewrite(database, LOCK_HOLDER)
        accounts = create_account_service(database, primary_issuer=PRIMARY_ISSUER)
        requests = [AccountEnsureRequest(uuid.uuid4().hex, email, "Ada", email_verified=True)] * 2
        requests[1] = replace(requests[1], user_id=uuid.uuid4().hex)
        async with meeting(database_url, THE_ACCOUNT, user) as held:
            claims = [await held.join(accounts.ensure_account(request)) for request in requests]
        outcomes = await asyncio.gather(*claims, return_exceptions=True)
        refused = [each.error for each in outcomes if isinstance(each, AccountValidationError)]
        assert refused == ([] if taken_out else ["address_claimed"])
        assert await scalar(database, LINKS, user=user) == (2 if taken_out else 1)


@in_place_and_taken_out
async def test_the_lock_of_a_subject_gives_it_one_account(database_url: str, *, taken_out: bool) -> None:
    """Two unclaimed accounts are claimed by one subject, whose addresses are verified."""
    async with opened(database_url) as database:
        if taken_out:
            rewrite(database, LOCK_SUBJECT)
        accounts = create_account_service(database, primary_issuer=PRIMARY_ISSUER)
        subject = uuid.uuid4().hex
        claims: list[asyncio.Task[tuple[AccountProfileResponse, bool]]] = []
        async with meeting(database_url, "LOCK TABLE account.linked_identities IN SHARE MODE") as held:
            for _ in range(2):
                _, email = await _unclaimed(database)
                request = AccountEnsureRequest(subject, email, "Ada", email_verified=True)
                claims.append(await held.join(accounts.ensure_account(request)))
        (one, _), (other, _) = await asyncio.gather(*claims)
        assert (one.user_id == other.user_id) is not taken_out


@in_place_and_taken_out
async def test_the_lock_of_a_subject_keeps_it_from_a_second_account(
    database_url: str, *, taken_out: bool
) -> None:
    """A subject of the primary issuer signs up while somebody links it to another account."""
    async with opened(database_url) as database:
        if taken_out:
            rewrite(database, LOCK_SUBJECT)
        [user] = await add_users(database, 1)
        accounts = create_account_service(database, primary_issuer=PRIMARY_ISSUER)
        subject = uuid.uuid4().hex
        request = AccountEnsureRequest(subject, _new_email(), "Ada", email_verified=True)
        async with meeting(database_url, HAS_ADDRESS, uuid.uuid4().hex, request.email) as held:
            ensuring = await held.join(accounts.ensure_account(request))
            linking = await held.join(accounts.link_identity(user, subject))
        account, _ = await ensuring
        assert account.user_id == subject
        [linked] = await asyncio.gather(linking, return_exceptions=True)
        assert isinstance(linked, ConflictError) is not taken_out


@in_place_and_taken_out
async def test_the_lock_of_an_account_keeps_its_last_identity(database_url: str, *, taken_out: bool) -> None:
    async with opened(database_url) as database:
        user, _ = await _unclaimed(database)
        accounts = create_account_service(database, primary_issuer=PRIMARY_ISSUER)
        subjects = [uuid.uuid4().hex for _ in range(2)]
        for subject in subjects:
            await accounts.link_identity(user, subject, issuer=OTHER)
        if taken_out:
            rewrite(database, LOCK_ACCOUNT)
        async with meeting(database_url, "LOCK TABLE account.linked_identities IN SHARE MODE") as held:
            unlinked = [
                await held.join(accounts.unlink_identity(user, each, issuer=OTHER)) for each in subjects
            ]
        outcomes = await asyncio.gather(*unlinked, return_exceptions=True)
        refused = [each.error for each in outcomes if isinstance(each, ConflictError)]
        assert refused == ([] if taken_out else ["last_identity"])
        assert await scalar(database, LINKS, user=user) == (0 if taken_out else 1)


async def _unclaimed(database: Database) -> tuple[str, str]:
    """The id and the address of an account that accepting an invitation has made."""
    [owner] = await add_users(database, 1)
    [tenant] = await add_tenants(database, 1, {owner: "owner"})
    invitation = await add_invitation(database, tenant, owner)
    async with database.transaction() as session:
        await postgres_engines(Options()).acceptances.accept(session, invitation.id, invitation.token)
    user = await scalar(database, ONE_HOLDER, email=invitation.email)
    return str(user), invitation.email


def _sign_up(email: str) -> dict[str, object]:
    """The body for a new subject whose address is verified."""
    return {"user_id": uuid.uuid4().hex, "email": email, "name": "Ada", "email_verified": True}


def _new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


async def _add_change(database: Database, user_id: str, email: str, token: str) -> None:
    """Store a change of an address whose mail, with the token, has been sent."""
    await execute(
        database,
        "INSERT INTO account.email_changes"
        " (user_id, email, email_key, token_hash, requested_at, expires_at, day, requests)"
        " VALUES (:user, :email, :email, :hash, now(), now() + interval '1 day', current_date, 1)",
        user=user_id,
        email=email,
        hash=token_hash(token),
    )
