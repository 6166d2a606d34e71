"""What a deployment may choose about the rules."""

from dataclasses import dataclass, field

from hoc.cus.account.L5_schemas.port_types import InvitationLimits
from hoc.cus.account.L5_schemas.results import SupportContactResult


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
    special_use_domains: bool = False
