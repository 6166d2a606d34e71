"""What a deployment may choose about the rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

from hoc.cus.account.L5_schemas.port_types import InvitationLimits
from hoc.cus.account.L5_schemas.results import SupportContactResult


def refuse_no_domain(_domain: str) -> None:
    """Let tenants claim every domain: who has its record in DNS is what counts."""


@dataclass(frozen=True, slots=True)
class Options:
    support_contact: SupportContactResult = field(
        default_factory=lambda: SupportContactResult(
            email="support@example.com",
            hours="Monday to Friday, 09:00 to 17:00 UTC",
            response_time="Within one business day",
        )
    )
    invitation_limits: InvitationLimits = field(default_factory=InvitationLimits)
    tenants_per_user_per_day: int = 20
    send_mail: bool = True
    """False queues no mail of invitations."""
    invitation_url: str = "http://127.0.0.1:8201/invitations/{invitation_id}#token={token}"
    """Pattern of invitation links."""
    special_use_domains: bool = False
    billing_portal_url: str | None = None
    """Pattern of links to the billing system's portal, with ``{tenant_id}``."""
    ticket_mail: bool = False
    """True mails the member who opened a ticket that support has answered it."""
    domain_refusal: Callable[[str], str | None] = refuse_no_domain
    """Why nobody can claim a domain, such as a public mail provider's. None: a tenant may."""
    domain_check_interval: timedelta = timedelta(hours=24)
    domain_grace: timedelta = timedelta(days=7)
    """How long the record of a verified domain may be missing."""
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks to which events are sent though they are private, and without TLS."""
