"""The console's operations, in the order in which the OpenAPI document lists them."""

from collections.abc import Callable

from hoc.cus.account.L2_api.console.audit import AuditRoutes
from hoc.cus.account.L2_api.console.billing import BillingRoutes
from hoc.cus.account.L2_api.console.invitations import InvitationRoutes
from hoc.cus.account.L2_api.console.ownership import OwnershipRoutes
from hoc.cus.account.L2_api.console.profile import ProfileRoutes
from hoc.cus.account.L2_api.console.projects import ProjectRoutes
from hoc.cus.account.L2_api.console.support import SupportRoutes
from hoc.cus.account.L2_api.console.users import UserRoutes
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.engines import Engines


def console_operations(engines: Engines, *, on_mail_queued: Callable[[], None]) -> list[Operation]:
    return [
        *ProjectRoutes(engines.projects, engines.members).operations(),
        *UserRoutes(engines.members).operations(),
        *InvitationRoutes(engines.invitations, engines.acceptances, on_mail_queued).operations(),
        *OwnershipRoutes(engines.ownership).operations(),
        *ProfileRoutes(engines.profiles).operations(),
        *BillingRoutes(engines.billing).operations(),
        *SupportRoutes(engines.support).operations(),
        *AuditRoutes(engines.audit).operations(),
    ]
