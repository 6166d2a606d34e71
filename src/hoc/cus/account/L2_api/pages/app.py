"""The pages as an application to mount."""

from collections.abc import Callable, Sequence

from starlette.authentication import AuthenticationBackend

from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.pages.admin.accounts import ACCOUNTS
from hoc.cus.account.L2_api.pages.admin.dead_letters import DEAD_LETTERS
from hoc.cus.account.L2_api.pages.admin.registrations import REGISTRATIONS
from hoc.cus.account.L2_api.pages.admin.tenants import TENANTS
from hoc.cus.account.L2_api.pages.development import SIGN_IN_PATH, DevelopmentSignIn
from hoc.cus.account.L2_api.pages.endpoint import PageParts, page_route
from hoc.cus.account.L2_api.pages.home import HOME
from hoc.cus.account.L2_api.pages.look import Look, parse_links
from hoc.cus.account.L2_api.pages.own.joinable_tenants import JOINABLE_TENANTS
from hoc.cus.account.L2_api.pages.own.memberships import MEMBERSHIPS
from hoc.cus.account.L2_api.pages.own.preferences import PREFERENCES
from hoc.cus.account.L2_api.pages.own.profile import PROFILE
from hoc.cus.account.L2_api.pages.own.received_invitations import RECEIVED_INVITATIONS
from hoc.cus.account.L2_api.pages.own.sign_in import SIGN_IN
from hoc.cus.account.L2_api.pages.page import AnyPage
from hoc.cus.account.L2_api.pages.public.email_change_link import EMAIL_CHANGE_LINK
from hoc.cus.account.L2_api.pages.public.invitation_link import INVITATION_LINK
from hoc.cus.account.L2_api.pages.rendering import Renderer
from hoc.cus.account.L2_api.pages.security import Forms
from hoc.cus.account.L2_api.pages.static_files import StaticFiles
from hoc.cus.account.L2_api.pages.tenant.audit import AUDIT
from hoc.cus.account.L2_api.pages.tenant.billing import BILLING
from hoc.cus.account.L2_api.pages.tenant.domains import DOMAINS
from hoc.cus.account.L2_api.pages.tenant.invitations import INVITATIONS
from hoc.cus.account.L2_api.pages.tenant.members import MEMBERS
from hoc.cus.account.L2_api.pages.tenant.ownership import OWNERSHIP
from hoc.cus.account.L2_api.pages.tenant.project import PROJECT
from hoc.cus.account.L2_api.pages.tenant.scim import SCIM
from hoc.cus.account.L2_api.pages.tenant.tickets import TICKETS
from hoc.cus.account.L2_api.pages.tenant.webhooks import WEBHOOKS
from hoc.settings import Settings

PAGES: list[AnyPage] = [
    *HOME,
    *MEMBERS,
    *INVITATIONS,
    *DOMAINS,
    *SCIM,
    *WEBHOOKS,
    *PROJECT,
    *BILLING,
    *TICKETS,
    *AUDIT,
    *ACCOUNTS,
    *REGISTRATIONS,
    *TENANTS,
    *DEAD_LETTERS,
    *OWNERSHIP,
    *PROFILE,
    *PREFERENCES,
    *SIGN_IN,
    *MEMBERSHIPS,
    *RECEIVED_INVITATIONS,
    *JOINABLE_TENANTS,
    *INVITATION_LINK,
    *EMAIL_CHANGE_LINK,
]
"""All pages, in the order of the navigation."""


def pages_app(
    settings: Settings,
    parts: PageParts,
    *,
    authentication: AuthenticationBackend,
    api: Callable[..., Api],
) -> Api:
    """The pages, for the callers that ``authentication`` knows. Raises ValueError for a wrong setting.

    ``api`` makes an application of routes, with the limits that the others have.
    """
    development = authentication if isinstance(authentication, DevelopmentSignIn) else None
    unserved = [] if settings.domains else [*DOMAINS, *JOINABLE_TENANTS]
    unserved += [] if settings.scim else SCIM
    unserved += [] if settings.webhooks else WEBHOOKS
    pages: Sequence[AnyPage] = [page for page in PAGES if page not in unserved]
    pages = pages if development is None else [*pages, *development.pages()]
    forms = Forms(_secret(settings, development), secure=settings.public_url.startswith("https:"))
    look = _look(settings)
    static = StaticFiles(accent=look.accent)
    renderer = Renderer(
        look,
        forms,
        static,
        pages,
        templates=settings.console_templates,
        sign_in_path=None if development is None else SIGN_IN_PATH,
    )
    return api(
        [static.route(), *(page_route(page, parts, renderer, forms) for page in pages)],
        authentication=authentication,
        cors_origins=frozenset(),
        on_problem=renderer.problem,
    )


def _secret(settings: Settings, development: DevelopmentSignIn | None) -> str:
    if settings.console_secret is not None:
        return settings.console_secret.get_secret_value()
    if development is not None:
        return development.secret
    raise ValueError(
        "HOC_CONSOLE_SECRET is not set. The pages sign their forms with it: set it to the same random text of"
        " 32 characters or more for all processes."
    )


def _look(settings: Settings) -> Look:
    return Look(
        name=settings.console_name,
        logo_url=settings.console_logo_url,
        accent=settings.console_accent,
        links=parse_links(settings.console_links or ""),
        sign_in_url=settings.console_sign_in_url,
        sign_out_url=settings.console_sign_out_url,
    )
