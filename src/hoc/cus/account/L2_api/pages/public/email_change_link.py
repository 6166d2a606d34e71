"""The page that confirms a changed address, by the link mailed to it."""

from hoc.cus.account.L2_api.bodies import Body
from hoc.cus.account.L2_api.operations import NO_SESSION, NOTHING
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, View


class ConfirmAddress(Body):
    token: str


@Page("GET", "/email-changes", requires=NOTHING, opens=NO_SESSION)
async def email_change_link(view: View) -> Answer:
    title = "Confirm your address" if view.refusal is None else "Your address is not confirmed"
    return view.show("email_change_link.html", title)


# A person sends it, and no script: a program that checks the links in mails must confirm nothing.
@Page(
    "POST",
    "/email-changes",
    requires=NOTHING,
    opens=NO_SESSION,
    body=ConfirmAddress,
    again=email_change_link,
    queues_work=True,
)
async def confirm_email_change(view: View[ConfirmAddress]) -> Answer:
    # The address is not shown: the link may have gone to a mistyped one.
    await view.identity.confirm_email_change(view.body.token)
    return view.show("email_change_confirmed.html", "Your address is confirmed")


EMAIL_CHANGE_LINK: list[AnyPage] = [email_change_link, confirm_email_change]
