"""A change of an address by real SMTP: the link to the new address, and the notice to the old one."""

from collections.abc import AsyncGenerator, Generator
from email.message import EmailMessage

import pytest
from support.smtp import SmtpServer, smtp_server
from support.world import PostgresWorld, RealClock

from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest
from hoc.cus.account.wiring import open_database
from hoc.mail.courier import Courier
from hoc.mail.message import link_in, token_in
from hoc.mail.queues import AccountMailQueue
from hoc.mail.smtp import SmtpSender

LINK = "https://app.example.com/email-changes#token="


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
async def world(fresh_database_url: str) -> AsyncGenerator[PostgresWorld]:
    database = open_database(fresh_database_url)
    yield PostgresWorld(database, RealClock())
    await database.close()


def courier(world: PostgresWorld, smtp: SmtpServer) -> Courier:
    queue = AccountMailQueue(mail_from="accounts@hoc.example", public_url="https://app.example.com")
    return Courier(world.database, SmtpSender.from_url(smtp.url), [queue])


async def ask(world: PostgresWorld, user_id: str, email: str) -> None:
    await world.accounts.update_own_profile(user_id, AccountUpdateRequest(email=email))


def link_of(message: EmailMessage) -> str:
    link = link_in(message)
    assert link is not None
    assert link.startswith(LINK)
    return link


async def test_the_link_confirms_and_the_old_address_is_told(world: PostgresWorld, smtp: SmtpServer) -> None:
    old, new = "old@example.org", "new@example.org"
    user_id = await world.add_user(old)
    await ask(world, user_id, new)
    assert await courier(world, smtp).deliver_due() == 1
    [asked] = smtp.messages()
    assert asked.recipients == [new]
    token = token_in(link_of(asked.message))
    account = await world.accounts.confirm_email_change(token)
    assert (account.user_id, account.email) == (user_id, new)
    for _ in range(2):
        await courier(world, smtp).deliver_due()
    [_, notice] = smtp.messages()
    assert notice.recipients == [old]
    assert new not in notice.message.as_string()
    assert "token" not in notice.message.as_string()


async def test_only_the_newest_change_is_mailed(world: PostgresWorld, smtp: SmtpServer) -> None:
    user_id = await world.add_user()
    for number in range(2):
        await ask(world, user_id, f"new{number}@example.org")
    assert await courier(world, smtp).deliver_due() == 1
    [asked] = smtp.messages()
    assert asked.recipients == ["new1@example.org"]
    await world.accounts.cancel_email_change(user_id)
    with pytest.raises(NotFoundError):
        await world.accounts.confirm_email_change(token_in(link_of(asked.message)))
    await ask(world, user_id, "new2@example.org")
    await world.accounts.cancel_email_change(user_id)
    await courier(world, smtp).deliver_due()
    assert len(smtp.messages()) == 1, "nothing is sent for a change that was cancelled"
