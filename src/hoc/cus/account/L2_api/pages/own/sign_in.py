"""One's own address, the change of it, and the identities that one signs in with."""

from hoc.cus.account.L2_api.bodies import Body
from hoc.cus.account.L2_api.operations import CALLER, NO_SESSION
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_schemas.errors import AccountNotFoundError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest, EmailChangeResponse

PATH = "/profile/sign-in"


class ChangeAddress(Body):
    email: str


class Identity(Body):
    """``issuer`` is blank for the primary one."""

    subject: str
    issuer: str | None = None


@Page("GET", PATH, requires=CALLER, opens=NO_SESSION)
async def sign_in_settings(view: View) -> Answer:
    account = await view.identity.get_account_profile(view.caller_id)
    return view.show(
        "profile_sign_in.html",
        "Address and sign-in",
        account=account,
        pending=await _pending_change(view),
        identities=(await view.identity.list_identities(view.caller_id)).identities,
    )


@Page(
    "POST",
    PATH,
    requires=CALLER,
    opens=NO_SESSION,
    body=ChangeAddress,
    again=sign_in_settings,
    queues_work=True,
)
async def change_address(view: View[ChangeAddress]) -> Answer:
    request = AccountUpdateRequest(email=view.body.email)
    await view.identity.update_own_profile(view.caller_id, request, actor=view.caller_id)
    pending = await _pending_change(view)
    if pending is None:
        return view.go(PATH, "That is your address already.")
    return view.go(PATH, f"A link is on its way to {pending.email}. Open it to change your address.")


@Page("POST", f"{PATH}/cancel", requires=CALLER, opens=NO_SESSION, again=sign_in_settings)
async def cancel_change(view: View) -> Answer:
    await view.identity.cancel_email_change(view.caller_id)
    return view.go(PATH, "The change is cancelled, and its link no longer works.")


@Page("POST", f"{PATH}/unlink", requires=CALLER, opens=NO_SESSION, body=Identity, again=sign_in_settings)
async def unlink_identity(view: View[Identity]) -> Answer:
    await view.identity.unlink_identity(
        view.caller_id, view.body.subject, issuer=view.body.issuer, actor=view.caller_id
    )
    return view.go(PATH, "The identity is unlinked. It no longer signs in to your account.")


async def _pending_change(view: AnyView) -> EmailChangeResponse | None:
    try:
        return await view.identity.pending_email_change(view.caller_id)
    except AccountNotFoundError:
        return None


SIGN_IN: list[AnyPage] = [sign_in_settings, change_address, cancel_change, unlink_identity]
