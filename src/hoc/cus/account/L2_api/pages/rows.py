"""The rows of an operator's lists. Not loops in a template, where each cell's HTML is wrapped and copied."""

from collections.abc import Iterable
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from hoc.cus.account.L2_api.pages.formatting import words
from hoc.cus.account.L2_api.pages.marks import person_of, status, tenant_of
from hoc.cus.account.L2_api.pages.times import time_of
from hoc.cus.account.L5_schemas.identity import AccountProfileResponse
from hoc.cus.account.L5_schemas.operators import TenantSummary


@pass_context
def account_rows(context: Context, accounts: Iterable[AccountProfileResponse], place: str) -> Markup:
    """Account, status and day of creation. ``place`` is the path above an account's page."""
    zone = context.get("zone")
    return Markup(  # noqa: S704 - each part is HTML
        "\n".join(
            f'<tr><th scope="row">{person_of(each, place)}</th>'
            f"<td>{status('active' if each.is_active else 'inactive')}</td>"
            f'<td class="wide">{time_of(each.created_at, zone, with_clock=False)}</td></tr>'
            for each in accounts
        )
    )


@pass_context
def tenant_rows(context: Context, tenants: Iterable[TenantSummary], place: str) -> Markup:
    """Tenant, status, plan and day of creation. ``place`` is the path above a tenant's page."""
    zone = context.get("zone")
    return Markup(  # noqa: S704 - each part is HTML, or the name of a plan
        "\n".join(
            f'<tr><th scope="row">{tenant_of(each, place)}</th>'
            f"<td>{status(each.status)}</td>"
            f'<td class="wide">{words(each.plan)}</td>'
            f'<td class="wide">{time_of(each.created_at, zone, with_clock=False)}</td></tr>'
            for each in tenants
        )
    )


ROWS: Final[dict[str, Any]] = {"account_rows": account_rows, "tenant_rows": tenant_rows}
