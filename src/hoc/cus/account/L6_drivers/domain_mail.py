"""The courier's queue of mails that tell owners of a domain's trouble."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.domains import DomainMailContent, DueDomainMail
from hoc.cus.account.L5_schemas.values import DomainStatus
from hoc.cus.account.L6_drivers.domains import RECORD_NAME, RECORD_VALUE, THIS_DOMAIN
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one
from hoc.cus.account.L6_drivers.mailed_owners import owner_of
from hoc.cus.account.L6_drivers.queued_mails import SqlQueuedMails
from hoc.cus.account.L6_drivers.tables import domain_mails, tenant_domains

DOMAIN_NOW = select(
    tenant_domains.c.domain,
    RECORD_NAME,
    RECORD_VALUE,
    tenant_domains.c.status,
    tenant_domains.c.failing_since,
).where(THIS_DOMAIN)

DOMAIN_MAILS = SqlQueuedMails(domain_mails, DueDomainMail)


async def domain_mail_content(session: SqlSession, mail: DueDomainMail) -> DomainMailContent | None:
    """What the mail says now. None: there is nobody to tell, or the trouble is over."""
    domain = await fetch_one(session, DOMAIN_NOW, tenant_id=mail.tenant_id, domain=mail.domain)
    if domain is None or (domain.status == DomainStatus.VERIFIED) is mail.is_lost:
        return None
    if not mail.is_lost and domain.failing_since is None:
        return None
    recipient = await owner_of(session, mail.tenant_id, mail.user_id)
    if recipient is None:
        return None
    return DomainMailContent(
        email=recipient.email,
        tenant_name=recipient.tenant_name,
        domain=domain.domain,
        record_name=domain.record_name,
        record_value=domain.record_value,
        failing_since=domain.failing_since,
        locale=recipient.locale,
    )
