"""The mails about the change of an address, on real PostgreSQL, through a real SMTP server."""

import asyncio
import logging
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.postgres import opened
from support.races import Request, meeting, race, rewrite
from support.seed import add_users, execute, scalar
from support.servers import development_keys, server_process
from support.smtp import SmtpServer, smtp_server
from support.waiting import until

from hoc.cli.development import read_mailbox, readable_mailbox
from hoc.cus.account.L5_schemas.errors import AccountsError
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest, AccountUpdateRequest
from hoc.cus.account.wiring import create_account_service
from hoc.database import Database
from hoc.embedded import DataDirectory
from hoc.mail.courier import Courier
from hoc.mail.mailbox import DevelopmentMailbox
from hoc.mail.message import link_in
from hoc.mail.sender import MailSender
from hoc.mail.setup import create_courier
from hoc.mail.smtp import SmtpSender
from hoc.settings import Settings

NEW = "ada.new@example.org"
SETTINGS = Settings.model_construct(mail_from="accounts@hoc.example", public_url="https://app.example.com")


class Owner:
    """An account's owner who changes the address, and couriers for the mails."""

    def __init__(self, url: str, smtp: SmtpServer, user_id: str, database: Database) -> None:
        self.url, self.smtp, self.id, self.database = url, smtp, user_id, database
        self.accounts = create_account_service(database)

    def courier(self, database: Database | None = None, sender: MailSender | None = None) -> Courier:
        settings = SETTINGS.model_copy(update={"smtp_url": SecretStr(self.smtp.url)})
        return create_courier(database or self.database, settings, sender)

    async def ask(self, email: str = NEW) -> None:
        await self.accounts.update_own_profile(self.id, AccountUpdateRequest(email=email))

    async def email(self) -> str:
        return (await self.accounts.get_account_profile(self.id)).email

    async def confirms(self, token: str) -> bool:
        try:
            await self.accounts.confirm_email_change(token)
        except AccountsError:
            return False
        return True

    async def queued(self) -> int:
        count = await scalar(self.database, "SELECT count(*) FROM account.account_mails")
        assert isinstance(count, int)
        return count

    async def due_again(self) -> None:
        await execute(self.database, "UPDATE account.account_mails SET due_at = now() - interval '1 s'")

    def tokens(self) -> list[str]:
        links = [link_in(mail.message) for mail in self.smtp.messages()]
        return [token for _, token in filter(None, links)]

    async def is_sent(self, mails: int) -> bool:
        return len(self.smtp.messages()) >= mails and await self.queued() == 0


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
async def owner(fresh_database_url: str, fresh_database: Database, smtp: SmtpServer) -> Owner:
    [user_id] = await add_users(fresh_database, 1)
    return Owner(fresh_database_url, smtp, user_id, fresh_database)


async def test_the_new_address_gets_a_link_and_the_old_a_notice(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    old = await owner.email()
    await owner.ask()
    assert await owner.courier().deliver_due() == 1
    [token] = owner.tokens()
    stored = await scalar(owner.database, "SELECT token_hash FROM account.email_changes")
    assert isinstance(stored, bytes)
    assert len(stored) == 32
    assert await owner.confirms(token)
    assert await owner.courier().deliver_due() == 1
    link, notice = owner.smtp.messages()
    assert (link.recipients, notice.recipients) == ([NEW], [old])
    assert await owner.email() == NEW
    body = notice.message.get_body(("plain",))
    assert body is not None
    assert NEW not in notice.message.as_string()
    assert "If you did not change it" in body.get_content()
    assert await owner.queued() == 0
    for personal in (NEW, old, token.rpartition(".")[2]):
        assert personal not in caplog.text


async def test_a_link_that_is_passed_on_is_not_mailed(owner: Owner) -> None:
    """A mail would have a link of its own, which makes this one void."""
    await owner.ask()
    link = await owner.accounts.email_change_link(owner.id)
    assert await owner.courier().deliver_due() == 0
    assert await owner.confirms(link.token)
    assert await owner.email() == NEW
    verified = await scalar(owner.database, "SELECT email_verified FROM account.users")
    assert (verified, owner.tokens()) == (True, [])


async def test_an_address_that_was_lost_gets_no_notice(owner: Owner) -> None:
    """It is somebody else's by now, whose account has not changed."""
    await execute(owner.database, "UPDATE account.users SET email_key = NULL")
    await owner.ask()
    await owner.courier().deliver_due()
    assert await owner.confirms(owner.tokens()[-1])
    assert await owner.queued() == 0


@pytest.mark.parametrize(("attempts", "sent"), [(499, 1), (500, 0)])
async def test_a_notice_is_given_up_after_days(owner: Owner, attempts: int, sent: int) -> None:
    """Nothing else ends it: it has no link that expires."""
    await execute(
        owner.database,
        "INSERT INTO account.account_mails (mail_id, user_id, notice_to, attempts, due_at)"
        f" VALUES ('notice', '{owner.id}', 'old@example.org', {attempts}, now())",
    )
    await owner.courier().deliver_due()
    assert len(owner.smtp.messages()) == sent
    assert await owner.queued() == 0


async def test_a_link_waits_for_the_mail_server(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    await owner.ask()
    owner.smtp.refuse("RCPT", f"451 4.3.0 <{NEW}> try later")
    await owner.courier().deliver_due()
    assert await owner.courier().deliver_due() == 0
    owner.smtp.recover()
    await owner.due_again()
    await owner.courier().deliver_due()
    assert await owner.confirms(owner.tokens()[-1])
    assert f"account {owner.id} postponed" in caplog.text
    assert NEW not in caplog.text


async def test_a_courier_that_dies_after_sending_mails_a_new_link(owner: Owner) -> None:
    class Died(BaseException):
        pass

    class Dying:
        async def send(self, message: object) -> None:
            await SmtpSender.from_url(owner.smtp.url).send(message)  # type: ignore[arg-type]
            raise Died

    await owner.ask()
    with pytest.raises(Died):
        await owner.courier(sender=Dying()).deliver_due()
    assert await owner.courier().deliver_due() == 0
    await owner.due_again()
    assert await owner.courier().deliver_due() == 1
    dead, newest = owner.tokens()
    assert not await owner.confirms(dead)
    assert await owner.confirms(newest)


@pytest.mark.parametrize("end", ["cancel", "expire", "deactivate"])
async def test_nothing_is_sent_for_a_change_that_has_ended(owner: Owner, end: str) -> None:
    await owner.ask()
    if end == "cancel":
        await owner.accounts.cancel_email_change(owner.id)
    elif end == "deactivate":
        await owner.accounts.change_account_status(owner.id, AccountStatusChangeRequest(is_active=False))
    else:
        await execute(owner.database, "UPDATE account.email_changes SET expires_at = now()")
    await owner.courier().deliver_due()
    assert owner.smtp.messages() == []
    assert await owner.queued() == 0


@pytest.mark.parametrize("taken_out", [False, True])
async def test_two_couriers_send_no_link_twice(owner: Owner, *, taken_out: bool) -> None:
    async with opened(owner.url) as other:
        if taken_out:
            for database in (owner.database, other):
                rewrite(database, (r"FOR UPDATE SKIP LOCKED", ""))
        await owner.ask()
        async with meeting(owner.url, "SELECT FROM account.account_mails FOR UPDATE") as held:
            tasks = [await held.join(owner.courier(pool).deliver_due()) for pool in (owner.database, other)]
        assert sum(await asyncio.gather(*tasks)) == (2 if taken_out else 0)
    await owner.courier().deliver_due()
    assert len(owner.smtp.messages()) == (2 if taken_out else 1)


async def test_the_development_mailbox_shows_the_link(owner: Owner, tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    await owner.ask()
    await owner.courier(sender=DevelopmentMailbox(data.mailbox)).deliver_due()
    [mail] = read_mailbox(data)
    assert (mail["to"], mail["invitation_id"]) == (NEW, None)
    assert f"To: {NEW}\n" in readable_mailbox([mail])
    assert str(mail["link"]) in readable_mailbox([mail])
    assert await owner.confirms(str(mail["token"]))


async def test_the_server_mails_links_and_confirms_them(owner: Owner, tmp_path: Path) -> None:
    token = development_keys(tmp_path).issue(owner.id, None)
    profile = f"/api/v1/accounts/profile/{owner.id}"
    with server_process(owner.url, tmp_path, smtp_url=owner.smtp.url) as server:
        [asked] = await race([Request(server.port, "PUT", profile, token, {"email": NEW})])
        assert asked.status == 200
        await until(partial(owner.is_sent, 1))
        body = {"token": owner.tokens()[-1]}
        path = "/api/v1/accounts/email-changes/confirm"
        [confirmed] = await race([Request(server.port, "POST", path, body=body)])
        assert confirmed.status == 200
        await until(partial(owner.is_sent, 2))
        assert body["token"].rpartition(".")[2] not in server.log.read_text()
        assert NEW not in server.log.read_text()
