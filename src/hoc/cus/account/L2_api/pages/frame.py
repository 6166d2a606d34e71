"""What surrounds each page of a signed-in person: who it is, and the tenants to switch between."""

from typing import Final

from hoc.cus.account.L2_api.authentication import Caller
from hoc.cus.account.L2_api.pages.view import Frame
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.values import Role

SHOWN_MEMBERSHIPS: Final = 12
"""How many tenants the switch lists. All are on a page of their own."""


async def read_frame(
    accounts: AccountsFacade, session: Session, caller: Caller, tenant_id: str | None
) -> Frame:
    """The frame of a page, in two statements. NotFoundError if the caller is no member."""
    listed = await accounts.members.list_memberships(session, caller.user_id, limit=SHOWN_MEMBERSHIPS)
    memberships = listed.value.memberships
    frame = Frame(
        user_id=caller.user_id,
        name=None,
        email=caller.email,
        timezone=None,
        memberships=memberships,
        has_more=listed.next_cursor is not None,
    )
    # Name and time zone are read within a tenant: any of the person's will do.
    within = tenant_id or next((each.tenant_id for each in memberships), None)
    if within is None:
        return frame
    try:
        profile = (await accounts.profiles.get(session, within, caller.user_id)).value
    except NotFoundError:
        if tenant_id is not None:
            raise
        return frame
    frame.name, frame.email, frame.timezone = profile.name, profile.email, profile.timezone
    if tenant_id is not None:
        frame.tenant_id, frame.tenant_name, frame.role = (
            tenant_id,
            profile.tenant_name or "",
            Role(profile.role),
        )
        frame.tenant_status = next(
            (each.tenant_status for each in memberships if each.tenant_id == tenant_id), ""
        )
    return frame
