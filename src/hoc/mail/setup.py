"""The courier of all mails, put together from settings."""

from functools import partial
from typing import TYPE_CHECKING

from hoc.cus.account.L5_engines.link_patterns import link_pattern
from hoc.cus.account.L6_drivers.domain_mail import DOMAIN_MAILS, domain_mail_content
from hoc.cus.account.L6_drivers.ticket_mail import TICKET_MAILS, ticket_mail_content
from hoc.cus.account.L6_drivers.webhook_mail import WEBHOOK_MAILS, webhook_mail_content
from hoc.cus.account.wiring import options_of
from hoc.database import Database
from hoc.distribution import how_to_add
from hoc.mail.courier import Courier
from hoc.mail.mailbox import DevelopmentMailbox
from hoc.mail.message import MailWriter, parse_sender
from hoc.mail.notices import NoticeQueue, domain_values, ticket_values, webhook_values
from hoc.mail.queues import AccountMailQueue, AnyMailQueue, InvitationQueue
from hoc.mail.sender import MailSender
from hoc.settings import Settings

if TYPE_CHECKING:  # it needs an extra
    from hoc.mail.smtp_connections import SmtpConnections


def create_courier(database: Database, settings: Settings, sender: MailSender | None) -> Courier:
    """The courier of all mails. Raises ValueError for a wrong setting or template."""
    try:
        from hoc.mail.templating import MailTemplates  # noqa: PLC0415 - a host that sends no mail has no extra
    except ImportError as missing:
        raise _needs_extra(missing) from None
    parse_sender(settings.mail_from)
    templates = MailTemplates(settings.mail_templates, language=settings.mail_language)
    queues = _queues(settings, MailWriter(settings.mail_from, templates))
    at_once = settings.mail_concurrency
    if sender is not None:
        return Courier(database, sender, queues, at_once=at_once)
    own = mail_sender(settings)
    return Courier(database, own, queues, at_once=at_once, close=own.aclose)


def _queues(settings: Settings, writer: MailWriter) -> list[AnyMailQueue]:
    options = options_of(settings)
    ticket_link = link_pattern(
        "HOC_TICKET_URL", settings.ticket_url, settings.public_url, "tenant_id", "ticket_id"
    )
    about_tickets = partial(ticket_values, ticket_link)
    about_domains = partial(domain_values, options.domain_grace)
    return [
        InvitationQueue(options.invitation_url, writer),
        AccountMailQueue(email_change_url(settings), writer),
        NoticeQueue("ticket", TICKET_MAILS, ticket_mail_content, about_tickets, writer),
        NoticeQueue("domain", DOMAIN_MAILS, domain_mail_content, about_domains, writer),
        NoticeQueue("webhook", WEBHOOK_MAILS, webhook_mail_content, webhook_values, writer),
    ]


def email_change_url(settings: Settings) -> str:
    return link_pattern("HOC_EMAIL_CHANGE_URL", settings.email_change_url, settings.public_url, "token")


def _needs_extra(missing: ImportError) -> ValueError:
    return ValueError(
        f"Mail needs the library {missing.name}: {how_to_add('mail')}."
        " A host that sends no mail needs none: set HOC_SEND_MAIL=false."
    )


def mail_sender(settings: Settings) -> "SmtpConnections | DevelopmentMailbox":
    """SMTP when it is configured, the development mailbox otherwise."""
    if settings.smtp_url is not None:
        try:
            from hoc.mail.smtp import SmtpSender  # noqa: PLC0415 - only SMTP needs this library
            from hoc.mail.smtp_connections import SmtpConnections  # noqa: PLC0415 - see above
        except ImportError as missing:
            raise _needs_extra(missing) from None

        server = SmtpSender.from_url(settings.smtp_url.get_secret_value())
        return SmtpConnections(server, limit=settings.mail_concurrency)
    from hoc.embedded import DataDirectory  # noqa: PLC0415 - only a development server has one

    return DevelopmentMailbox(DataDirectory(settings.data_dir).mailbox)
