"""The mails that tell of support's answers, on real PostgreSQL, through a real SMTP server."""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from support.races import Request, race
from support.seed import add_tenants, add_users, execute, scalar
from support.servers import development_keys, server_process
from support.smtp import SmtpServer, smtp_server
from support.waiting import until

from hoc.cus.account.L5_engines.support import Support
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database
from hoc.mail.sender import MailSender
from hoc.mail.setup import create_courier
from hoc.mail.smtp import SmtpSender
from hoc.settings import Settings

SETTINGS = Settings.model_construct(mail_from="accounts@hoc.example", public_url="https://app.example.com")
STAFF = "agent@desk"
SECRET = "The password is swordfish"


@dataclass(slots=True)
class Desk:
    """A tenant whose member has opened a ticket, and couriers for the mails about it."""

    url: str
    smtp: SmtpServer
    database: Database
    tenant_id: str
    owner: str
    member: str
    ticket_id: str = ""

    @property
    def support(self) -> Support:
        return self.engine(mails=True)

    @staticmethod
    def engine(*, mails: bool) -> Support:
        return postgres_engines(Options(ticket_mail=mails)).support

    async def open(self) -> None:
        async with self.database.transaction() as session:
            ticket = await self.support.create_ticket(
                session,
                self.tenant_id,
                self.member,
                subject="My evil.example",
                description="It does not work",
            )
        self.ticket_id = ticket.id

    async def answer(self, support: Support | None = None) -> None:
        async with self.database.transaction() as session:
            await (support or self.support).reply(
                session, self.tenant_id, self.ticket_id, STAFF, text=SECRET, as_support=True
            )

    async def deliver(self, sender: MailSender | None = None) -> int:
        used = sender or SmtpSender.from_url(self.smtp.url)
        return await create_courier(self.database, SETTINGS, used).deliver_due()

    async def queued(self) -> int:
        count = await scalar(self.database, "SELECT count(*) FROM account.ticket_mails")
        assert isinstance(count, int)
        return count

    async def is_sent(self, mails: int) -> bool:
        return len(self.smtp.messages()) >= mails and await self.queued() == 0


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
async def desk(fresh_database_url: str, fresh_database: Database, smtp: SmtpServer) -> Desk:
    owner, member = await add_users(fresh_database, 2)
    [tenant_id] = await add_tenants(fresh_database, 1, {owner: "owner", member: "member"})
    made = Desk(fresh_database_url, smtp, fresh_database, tenant_id, owner, member)
    await made.open()
    return made


async def test_the_requester_is_told_of_answers(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await desk.answer()
    await desk.answer()
    assert await desk.deliver() == 1
    await execute(desk.database, "UPDATE account.users SET locale = 'de-AT'")
    async with desk.database.transaction() as session:
        await desk.support.resolve(
            session, desk.tenant_id, desk.ticket_id, STAFF, resolution=SECRET, as_support=True
        )
    assert await desk.deliver() == 1
    email = await scalar(desk.database, f"SELECT email FROM account.users WHERE user_id = '{desk.member}'")
    link = f"https://app.example.com/support/tickets/{desk.ticket_id}?tenant={desk.tenant_id}"
    answered, resolved = desk.smtp.messages()
    for mail in (answered, resolved):
        assert mail.recipients == [email]
        body = mail.message.get_body(("plain",))
        assert body is not None
        assert link in body.get_content().splitlines()
        assert SECRET not in mail.message.as_string()
        assert "“My evil. example”" in body.get_content() or "„My evil. example“" in body.get_content()
    assert str(answered.message["Subject"]) == "Support has answered “My evil. example”"
    assert str(resolved.message["Subject"]) == "Der Support hat „My evil. example“ erledigt"
    assert await desk.queued() == 0
    for personal in (str(email), SECRET, "evil"):
        assert personal not in caplog.text


async def test_no_other_answer_queues_a_mail(desk: Desk) -> None:
    await desk.answer(desk.engine(mails=False))
    async with desk.database.transaction() as session:
        await desk.support.reply(session, desk.tenant_id, desk.ticket_id, desk.owner, text="Me, too.")
        await desk.support.resolve(session, desk.tenant_id, desk.ticket_id, desk.member)
        await desk.support.reopen(session, desk.tenant_id, desk.ticket_id, STAFF, as_support=True)
    assert await desk.queued() == 0


async def test_a_rollback_queues_no_mail(desk: Desk) -> None:
    async with desk.database.transaction() as session:
        await desk.support.reply(session, desk.tenant_id, desk.ticket_id, STAFF, text=SECRET, as_support=True)
        await session.rollback()
    assert await desk.queued() == 0
    assert await desk.deliver() == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account.users SET email_verified = false",
        "UPDATE account.users SET email_key = NULL",
        "UPDATE account.memberships SET is_active = false",
        "DELETE FROM account.memberships WHERE role = 'member'",
        "UPDATE account.tenants SET status = 'terminated'",
        "UPDATE account.ticket_mails SET attempts = 500",
    ],
)
async def test_nobody_is_told_who_could_not_read_it(desk: Desk, change: str) -> None:
    await desk.answer()
    await execute(desk.database, change)
    assert await desk.deliver() == 1
    assert desk.smtp.messages() == []
    assert await desk.queued() == 0


async def test_an_answer_while_a_mail_is_sent_has_its_own(desk: Desk) -> None:
    class Meanwhile:
        async def send(self, message: object) -> None:
            await SmtpSender.from_url(desk.smtp.url).send(message)  # type: ignore[arg-type]
            await desk.answer()

    await desk.answer()
    await desk.deliver(Meanwhile())
    assert await desk.queued() == 1
    assert await desk.deliver() == 1
    first, second = desk.smtp.messages()
    assert first.message["Message-ID"] != second.message["Message-ID"]


async def test_the_mail_waits_for_the_mail_server(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.answer()
    desk.smtp.refuse("RCPT", "451 4.3.0 try later")
    await desk.deliver()
    desk.smtp.recover()
    await execute(desk.database, "UPDATE account.ticket_mails SET due_at = now() - interval '1 s'")
    assert await desk.deliver() == 1
    assert f"ticket {desk.ticket_id} postponed" in caplog.text
    assert len(desk.smtp.messages()) == 1


async def test_the_server_mails_at_once_if_it_is_set(desk: Desk, tmp_path: Path) -> None:
    token = development_keys(tmp_path).issue(STAFF, None, scopes=["accounts:support"])
    path = f"/api/v1/tenants/{desk.tenant_id}/tickets/{desk.ticket_id}/replies"
    with server_process(desk.url, tmp_path, smtp_url=desk.smtp.url, ticket_mail="true") as server:
        [replied] = await race([Request(server.port, "POST", path, token, {"text": SECRET})])
        assert replied.status == 201
        await until(partial(desk.is_sent, 1))
        assert SECRET not in server.log.read_text()
