"""The console's operations, in the order in which the OpenAPI document lists them."""

from hoc.cus.account.L2_api.console.audit import AUDIT
from hoc.cus.account.L2_api.console.billing import BILLING
from hoc.cus.account.L2_api.console.domains import DOMAINS
from hoc.cus.account.L2_api.console.invitations import INVITATIONS
from hoc.cus.account.L2_api.console.ownership import OWNERSHIP
from hoc.cus.account.L2_api.console.profile import PROFILE
from hoc.cus.account.L2_api.console.projects import PROJECTS
from hoc.cus.account.L2_api.console.received_invitations import RECEIVED_INVITATIONS
from hoc.cus.account.L2_api.console.scim import SCIM
from hoc.cus.account.L2_api.console.support import SUPPORT
from hoc.cus.account.L2_api.console.users import USERS
from hoc.cus.account.L2_api.console.webhooks import WEBHOOKS
from hoc.cus.account.L2_api.operations import AnyOperation

CONSOLE_OPERATIONS: list[AnyOperation] = [
    *PROJECTS,
    *USERS,
    *INVITATIONS,
    *RECEIVED_INVITATIONS,
    *DOMAINS,
    *SCIM,
    *OWNERSHIP,
    *PROFILE,
    *BILLING,
    *SUPPORT,
    *AUDIT,
    *WEBHOOKS,
]
