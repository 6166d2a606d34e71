"""Invitation mail is sent through a real SMTP server at least once, and the newest mail's link works."""

import asyncio
import logging
from collections.abc import Generator
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from support.outage import Proxy, proxied
from support.postgres import opened
from support.races import Request, meeting, race, rewrite
from support.seed import add_tenants, add_users, execute, scalar
from support.servers import development_keys, server_process
from support.smtp import SmtpServer, smtp_server
from support.waiting import until

from hoc.asgi import Accounts
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.L6_drivers.tables import metadata
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database
from hoc.mail.courier import Courier
from hoc.mail.message import link_in
from hoc.mail.sender import MailRejectedError, MailUnavailableError
from hoc.mail.setup import create_courier
from hoc.mail.smtp import SmtpSender
from hoc.settings import Settings

EMAIL = "grace@example.org"
SETTINGS = Settings.model_construct(mail_from="accounts@hoc.example", public_url="https://app.example.com")


class Office:
    """A tenant whose owner invites people, and couriers for the queue."""

    def __init__(self, url: str, smtp: SmtpServer, owner: str, tenant: str, database: Database) -> None:
        self.url, self.smtp, self.owner, self.tenant, self.database = url, smtp, owner, tenant, database
        engines = postgres_engines(Options())
        self.invitations, self.acceptances = engines.invitations, engines.acceptances

    def courier(self, database: Database | None = None, sender: Any = None, *, at_once: int = 8) -> Courier:
        changed = {"smtp_url": SecretStr(self.smtp.url), "mail_concurrency": at_once}
        return create_courier(database or self.database, SETTINGS.model_copy(update=changed), sender)

    async def invite(self, email: str = EMAIL) -> str:
        async with self.database.transaction() as session:
            invited = await self.invitations.invite(session, self.tenant, self.owner, email=email)
        return invited.id

    async def resend(self, invitation_id: str) -> None:
        async with self.database.transaction() as session:
            await self.invitations.resend(session, self.tenant, self.owner, invitation_id)

    async def accepts(self, invitation_id: str, token: str) -> bool:
        try:
            async with self.database.transaction() as session:
                await self.acceptances.accept(session, invitation_id, token)
        except AccountsError:
            return False
        return True

    async def queued(self) -> int:
        count = await scalar(self.database, "SELECT count(*) FROM account.invitation_mails")
        assert isinstance(count, int)
        return count

    async def delivery(self) -> tuple[str | None, str | None]:
        """What its inviter sees of the mail of the only invitation."""
        async with self.database.reading() as session:
            listed = await self.invitations.list(session, self.tenant, self.owner)
        [invitation] = listed.value.invitations
        return invitation.delivery, invitation.delivery_error

    async def failures(self) -> list[str]:
        """The reasons in the events of failed mails."""
        async with self.database.reading() as session:
            rows = await session.execute(
                text(
                    "SELECT payload->>'reason' FROM account.outbox WHERE type = 'invitation.delivery_failed'"
                )
            )
        return [str(row[0]) for row in rows]

    async def due_again(self) -> None:
        """Make every queued mail due."""
        await execute(self.database, "UPDATE account.invitation_mails SET due_at = now() - interval '1 s'")

    def tokens(self) -> list[str]:
        """The tokens of the mails that arrived, in order."""
        links = [link_in(mail.message) for mail in self.smtp.messages()]
        return [token for _, token in filter(None, links)]


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
async def office(fresh_database_url: str, fresh_database: Database, smtp: SmtpServer) -> Office:
    [owner] = await add_users(fresh_database, 1)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner"}, seats=100)
    return Office(fresh_database_url, smtp, owner, tenant, fresh_database)


async def everything_stored(database: Database) -> str:
    """Every row of every table, as text."""
    async with database.reading() as session:
        rows = [
            await session.execute(text(f"SELECT t::text FROM {t.fullname} t")) for t in metadata.sorted_tables
        ]
    return "\n".join(str(row[0]) for of_table in rows for row in of_table)


async def test_the_mail_arrives_and_its_token_is_nowhere_else(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    invitation_id = await office.invite()
    assert await office.courier().deliver_due() == 1
    [mail] = office.smtp.messages()
    assert mail.recipients == [EMAIL]
    [token] = office.tokens()
    secret = token.partition(".")[2]
    stored = await everything_stored(office.database)
    assert invitation_id in stored
    assert secret not in stored
    assert secret.encode().hex() not in stored
    assert await office.accepts(invitation_id, token)
    assert secret not in await everything_stored(office.database)
    assert secret not in caplog.text
    assert EMAIL not in caplog.text
    assert await office.queued() == 0


async def test_a_wake_makes_the_running_courier_deliver(office: Office) -> None:
    courier = office.courier()
    async with courier.running():
        await office.invite()
        courier.wake()
        await until(partial(_is_sent, office))


async def _is_sent(office: Office, mails: int = 1) -> bool:
    return len(office.smtp.messages()) >= mails and await office.queued() == 0


async def test_a_hosts_own_sender_gets_the_mails(office: Office) -> None:
    sent: list[str] = []

    class Sender:
        async def send(self, message: EmailMessage) -> None:
            sent.append(str(message["To"]))

    async def is_sent() -> bool:
        return sent == [EMAIL] and await office.queued() == 0

    settings = SETTINGS.model_copy(update={"database_url": SecretStr(office.url)})
    await office.invite()
    async with Accounts(settings, mail=Sender()).lifespan():
        await until(is_sent)
    assert await office.delivery() == ("sent", None)


async def test_mail_waits_for_the_mail_server(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    invitation_id = await office.invite()
    office.smtp.refuse("RCPT", f"451 4.3.0 <{EMAIL}> try later")
    assert await office.delivery() == ("queued", None)
    await office.courier().deliver_due()
    assert await office.queued() == 1
    assert await office.delivery() == ("delayed", None)
    assert await office.courier().deliver_due() == 0
    office.smtp.recover()
    await office.due_again()
    await office.courier().deliver_due()
    assert await office.delivery() == ("sent", None)
    [token] = office.tokens()
    assert await office.accepts(invitation_id, token)
    assert f"invitation {invitation_id} postponed" in caplog.text
    assert EMAIL not in caplog.text


class Outage:
    """A sender that cuts the database's connections; then the mail has the outcome, None for sent."""

    def __init__(self, proxy: Proxy, outcome: Exception | None) -> None:
        self._proxy, self._outcome = proxy, outcome
        self.has_begun = asyncio.Event()

    async def send(self, _message: EmailMessage) -> None:
        await self._proxy.cut()
        self.has_begun.set()
        if self._outcome is not None:
            raise self._outcome


@pytest.mark.parametrize(
    ("outcome", "delivery"),
    [
        (None, "sent"),
        (MailUnavailableError("try later"), "delayed"),
        (MailRejectedError("no such mailbox"), "failed"),
    ],
)
async def test_an_outage_of_seconds_loses_no_outcome(
    office: Office, outcome: Exception | None, delivery: str
) -> None:
    await office.invite()
    async with proxied(office.url) as (url, proxy), opened(url) as database:
        sender = Outage(proxy, outcome)
        async with office.courier(database, sender).running():
            await sender.has_begun.wait()
            await asyncio.sleep(0.1)  # the first attempt to record the outcome is in vain
            await proxy.connect()
            await until(partial(_has_state, office, delivery))


async def test_an_outage_of_a_second_delays_no_mail_for_minutes(office: Office) -> None:
    invitation_id = await office.invite()
    async with opened(office.url, statement_timeout_ms=100) as database, office.courier(database).running():
        async with office.database.transaction() as session:
            await session.execute(text("SELECT 1 FROM account.invitations FOR UPDATE"))
            await until(partial(_is_claimed, office))
            await asyncio.sleep(0.3)  # longer than a statement waits for the lock
        await until(partial(_is_sent, office))
    assert await office.accepts(invitation_id, office.tokens()[-1])


async def _has_state(office: Office, delivery: str) -> bool:
    return (await office.delivery())[0] == delivery


async def _is_claimed(office: Office) -> bool:
    return await scalar(office.database, "SELECT max(attempts) FROM account.invitation_mails") == 1


async def test_pauses_grow_to_a_quarter_of_an_hour(office: Office) -> None:
    await office.invite()
    office.smtp.kill()
    pause = "SELECT extract(epoch FROM due_at - now())::int FROM account.invitation_mails"
    pauses: list[Any] = []
    for _ in range(10):
        await office.courier().deliver_due()
        pauses.append(await scalar(office.database, pause))
        await office.due_again()
    assert all(measured <= min(5 * 2**n, 900) for n, measured in enumerate(pauses))
    assert pauses[-1] > 640


async def test_refused_mail_is_given_up(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    invitation_id = await office.invite()
    office.smtp.refuse("RCPT", f"550 5.1.1 <{EMAIL}> no such mailbox")
    await office.courier().deliver_due()
    assert await office.queued() == 0
    assert f"invitation {invitation_id} given up" in caplog.text
    assert EMAIL not in caplog.text
    reason = "the mail server refused the recipient (SMTP 550 5.1.1)"
    assert await office.delivery() == ("failed", reason)
    assert await office.failures() == [reason]


@pytest.mark.parametrize(
    "reply",
    [
        "554 5.7.1 Relay access denied",
        "530 5.7.0 Authentication required",
        "550 5.4.5 Daily sending limit exceeded",
        "554 Not now, try again later",
    ],
)
async def test_mail_waits_for_what_is_about_the_sender(office: Office, reply: str) -> None:
    await office.invite()
    office.smtp.refuse("RCPT", reply)
    await office.courier().deliver_due()
    assert await office.delivery() == ("delayed", None)
    office.smtp.recover()
    await office.due_again()
    await office.courier().deliver_due()
    assert await office.delivery() == ("sent", None)
    assert await office.failures() == []


async def test_a_mail_that_never_got_out_has_failed(office: Office) -> None:
    await office.invite()
    await execute(office.database, "UPDATE account.invitations SET expires_at = now()")
    await office.courier().deliver_due()
    reason = "the invitation expired before the mail could be sent"
    assert await office.delivery() == ("failed", reason)
    assert await office.failures() == [reason]


@pytest.mark.parametrize(
    "change",
    [
        "delivery = 'failed'",
        "delivery_error = 'why'",
        "delivery = NULL, delivery_error = 'why'",
        "delivery = 'lost'",
    ],
)
async def test_a_failed_mail_has_a_reason_and_no_other(office: Office, change: str) -> None:
    await office.invite()
    with pytest.raises(IntegrityError):
        await execute(office.database, f"UPDATE account.invitations SET {change}")


async def test_the_state_is_of_the_newest_mail(office: Office) -> None:
    """Resent while the first mail is on its way: the second one is still queued."""
    invitation_id = await office.invite()
    await office.courier(sender=Interrupted(office, partial(office.resend, invitation_id))).deliver_due()
    assert await office.delivery() == ("queued", None)


async def test_a_link_stays_valid_beside_a_claimed_mail(office: Office) -> None:
    """A courier that has claimed the mail composes none after the inviter got the link."""
    invitation_id = await office.invite()
    async with office.database.transaction() as session:
        now = utc_now()
        mails = SqlInvitationMail()
        [due] = await mails.claim(session, now=now, lease_until=now, batch=1)
    async with office.database.transaction() as session:
        given = await office.invitations.link(session, office.tenant, office.owner, invitation_id)
    async with office.database.transaction() as session:
        assert await issue_token(mails, session, due.tenant_id, due.invitation_id, now=utc_now()) is None
        await mails.finish(session, due, now)
    assert await office.delivery() == (None, None)
    assert await office.accepts(invitation_id, given.token)


async def test_a_courier_and_a_resend_lock_in_one_order(office: Office) -> None:
    """Settling a mail while its invitation is resent: the one waits for the other, without a deadlock."""
    invitation_id = await office.invite()
    async with office.database.transaction() as session:
        now = utc_now()
        mails = SqlInvitationMail()
        [due] = await mails.claim(session, now=now, lease_until=now, batch=1)

    async def settle() -> None:
        async with office.database.transaction() as settling:
            await mails.finish(settling, due, now)

    async with meeting(office.url, "SELECT FROM account.invitations FOR UPDATE") as held:
        tasks = [await held.join(office.resend(invitation_id)), await held.join(settle())]
    await asyncio.gather(*tasks)
    assert (await office.delivery())[0] in {"queued", "sent"}


async def test_a_mail_is_in_the_language_of_its_recipient(office: Office) -> None:
    [invited] = await add_users(office.database, 1)
    await execute(
        office.database,
        f"UPDATE account.users SET locale = 'de-AT', email_key = '{EMAIL}' WHERE user_id = '{invited}'",
    )
    await office.invite()
    await office.invite("somebody@example.org")
    await office.courier().deliver_due()
    subjects = [str(mail.message["Subject"]) for mail in office.smtp.messages()]
    assert sorted(subject.split(" ")[0] for subject in subjects) == ["Einladung", "You"]


async def test_a_mail_that_raises_holds_up_no_other(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        async def send(self, message: EmailMessage) -> None:
            if "first" in str(message["To"]):
                raise LookupError(message["To"])
            await SmtpSender.from_url(office.smtp.url).send(message)

    await office.invite("first@example.org")
    await office.invite("second@example.org")
    await office.courier(sender=Failing()).deliver_due()
    assert [mail.recipients for mail in office.smtp.messages()] == [["second@example.org"]]
    assert await office.queued() == 1
    assert "postponed: LookupError" in caplog.text
    assert "first@example.org" not in caplog.text


@pytest.mark.parametrize("taken_out", [False, True])
async def test_two_couriers_send_no_mail_twice(office: Office, *, taken_out: bool) -> None:
    async with opened(office.url) as other:
        if taken_out:
            for database in (office.database, other):
                rewrite(database, (r"FOR UPDATE SKIP LOCKED", ""))
        await office.invite()
        async with meeting(office.url, "SELECT FROM account.invitation_mails FOR UPDATE") as held:
            tasks = [await held.join(office.courier(pool).deliver_due()) for pool in (office.database, other)]
        assert sum(await asyncio.gather(*tasks)) == (2 if taken_out else 0)
    await office.courier().deliver_due()
    assert len(office.smtp.messages()) == (2 if taken_out else 1)


async def test_two_couriers_deliver_many_mails_once_each(office: Office) -> None:
    addresses = [f"person-{n}@example.org" for n in range(30)]
    for address in addresses:
        await office.invite(address)
    async with office.courier().running(), office.courier().running():
        await until(partial(_is_sent, office, len(addresses)))
    assert sorted(mail.recipients[0] for mail in office.smtp.messages()) == sorted(addresses)


async def test_a_hanging_mail_delays_no_other(office: Office) -> None:
    await office.invite("hangs@example.org")
    addresses = [f"person-{n}@example.org" for n in range(12)]
    for address in addresses:
        await office.invite(address)
    office.smtp.hang("hangs@example.org")
    async with office.courier(at_once=2).running():
        await until(partial(_arrived, office, len(addresses)))
        assert (office.smtp.connections().opened, office.smtp.connections().most) == (2, 2)
        office.smtp.recover()
        await until(partial(_is_sent, office, len(addresses) + 1))
    assert sorted(mail.recipients[0] for mail in office.smtp.messages()) == [
        "hangs@example.org",
        *sorted(addresses),
    ]


async def _arrived(office: Office, mails: int) -> bool:
    return len(office.smtp.messages()) >= mails


async def test_a_queue_waits_for_no_backlog_of_another(office: Office) -> None:
    for n in range(5):
        await office.invite(f"person-{n}@example.org")
    accounts = create_account_service(office.database)
    await accounts.update_own_profile(office.owner, AccountUpdateRequest(email="new@example.org"))
    courier = office.courier(at_once=1)
    assert [await courier.deliver_due() for _ in range(5)] == [1, 1, 1, 1, 1]  # one for each queue
    assert "new@example.org" in [mail.recipients[0] for mail in office.smtp.messages()]


async def test_a_courier_that_ends_finishes_mails_under_way(office: Office) -> None:
    await office.invite()
    office.smtp.delay(0.05)
    async with office.courier().running():
        await until(partial(_is_connected, office))
    assert await _is_sent(office)
    await until(partial(_is_left, office))


async def _is_connected(office: Office) -> bool:
    return office.smtp.connections().open > 0


async def _is_left(office: Office) -> bool:
    return not await _is_connected(office)


class Interrupted:
    """A sender that lets something else happen after it has delivered, before it returns."""

    def __init__(self, office: Office, happening: Any) -> None:
        self._sender = SmtpSender.from_url(office.smtp.url)
        self._happening = happening

    async def send(self, message: EmailMessage) -> None:
        await self._sender.send(message)
        await self._happening()


async def test_only_the_newest_mail_of_an_invitation_has_a_valid_link(office: Office) -> None:
    invitation_id = await office.invite()
    await office.courier(sender=Interrupted(office, partial(office.resend, invitation_id))).deliver_due()
    assert await office.queued() == 1
    assert await office.courier().deliver_due() == 1
    old, new = office.tokens()
    assert not await office.accepts(invitation_id, old)
    assert await office.accepts(invitation_id, new)


async def test_a_courier_that_dies_after_sending_sends_a_new_link(office: Office) -> None:
    class Died(BaseException):
        pass

    async def die() -> None:
        raise Died

    invitation_id = await office.invite()
    with pytest.raises(Died):
        await office.courier(sender=Interrupted(office, die)).deliver_due()
    assert await office.courier().deliver_due() == 0
    await office.due_again()
    assert await office.courier().deliver_due() == 1
    old, new = office.tokens()
    assert not await office.accepts(invitation_id, old)
    assert await office.accepts(invitation_id, new)


@pytest.mark.parametrize("end", ["revoke", "expire", "accept"])
async def test_nothing_is_sent_for_an_invitation_that_has_ended(office: Office, end: str) -> None:
    invitation_id = await office.invite()
    if end == "revoke":
        async with office.database.transaction() as session:
            await office.invitations.revoke(session, office.tenant, office.owner, invitation_id)
    else:
        change = {"expire": "expires_at = now()", "accept": "status = 'accepted'"}[end]
        await execute(office.database, f"UPDATE account.invitations SET {change}")
    await office.courier().deliver_due()
    assert office.smtp.messages() == []
    assert await office.queued() == 0


async def test_an_invitation_that_is_rolled_back_queues_nothing(office: Office) -> None:
    async with office.database.engine.connect() as session:
        await office.invitations.invite(session, office.tenant, office.owner, email=EMAIL)
        await session.rollback()
    assert await office.queued() == 0
    assert await office.courier().deliver_due() == 0


async def test_a_server_that_is_killed_after_answering_loses_no_mail(office: Office, tmp_path: Path) -> None:
    token = development_keys(tmp_path).issue(office.owner, office.tenant)
    office.smtp.freeze()
    with server_process(office.url, tmp_path, smtp_url=office.smtp.url) as server:
        request = Request(server.port, "POST", "/accounts/users/invite", token, {"email": EMAIL})
        [invited] = await race([request])
        assert invited.status == 201
        server.kill()
    office.smtp.thaw()
    assert await office.queued() == 1
    await office.due_again()
    with server_process(office.url, tmp_path, smtp_url=office.smtp.url) as server:
        await until(partial(_is_sent, office))
        token = office.tokens()[-1]
        path = f"/accounts/invitations/{invited.body['id']}/accept"
        [accepted] = await race([Request(server.port, "POST", path, body={"token": token})])
        assert accepted.status == 200
        secret = token.partition(".")[2]
        assert secret not in server.log.read_text()
        assert EMAIL not in server.log.read_text()
        assert secret not in f"{invited}{accepted}"
