"""The mails that tell of a disabled webhook endpoint, on real PostgreSQL, through a real SMTP server."""

from support.receiver import receiver
from support.seed import execute, scalar
from support.smtp import smtp_server
from support.waiting import until
from support.webhook_sending import endpoint, happen, sending
from support.world import PostgresWorld

from hoc.mail.setup import create_courier
from hoc.mail.smtp import SmtpSender
from hoc.settings import Settings

SETTINGS = Settings.model_construct(mail_from="accounts@hoc.example")
QUEUED = "SELECT count(*) FROM account.webhook_mails"


async def test_owners_are_told_of_a_disabled_endpoint(world: PostgresWorld) -> None:
    """The mail names the host alone, and none is sent once the endpoint is enabled again."""
    tenant_id, owner = await world.tenant()
    await execute(world.database, "UPDATE account.users SET email_verified = true")
    with smtp_server() as smtp:
        courier = create_courier(world.database, SETTINGS, SmtpSender.from_url(smtp.url))
        async with receiver(lambda _: 410) as taking, sending(world.database):
            made = await endpoint(world, tenant_id, owner, taking)
            await happen(world, tenant_id, range(1, 2))
            await until(lambda: scalar(world.database, QUEUED))
            assert await courier.deliver_due() == 1
            async with world.transaction() as session:
                await world.engines.webhooks.update(session, tenant_id, owner, made.endpoint_id, enabled=True)
            await until(lambda: scalar(world.database, QUEUED))
            async with world.transaction() as session:
                await world.engines.webhooks.update(
                    session, tenant_id, owner, made.endpoint_id, enabled=True, from_now=True
                )
            assert await courier.deliver_due() == 1
        [received] = smtp.messages()
    assert str(received.message["Subject"]) == "No more events are sent to 127.0.0.1"
    assert "/hook" not in received.message.as_string()
    assert await scalar(world.database, QUEUED) == 0
