"""Handing the project over: the offer, and deciding on it."""

from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.tenant.members import member
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.values import Role


@Page("GET", "/ownership")
async def ownership(view: View) -> Answer:
    offer = await view.accounts.ownership.get(view.session, view.tenant_id, view.caller_id)
    is_mine = offer.to_user_id == view.caller_id
    return view.show(
        "ownership.html",
        "Ownership transfer",
        offer=offer,
        offerer=await _name(view, offer.from_user_id),
        recipient="you" if is_mine else await _name(view, offer.to_user_id),
        is_mine=is_mine,
        may_withdraw=view.role is Role.OWNER,
    )


@Page("GET", "/members/{user_id}/offer-ownership")
async def ask_to_offer(view: View) -> Answer:
    user_id = view.path["user_id"]
    name = await _name(view, user_id)
    return view.confirm(
        f"Offer the ownership to {name}?",
        f"{name} has seven days to accept. Then {name} is an owner, and you are an admin.",
        action=view.path_of("members", user_id, "offer-ownership"),
        label="Offer ownership",
        back=view.path_of("members", user_id),
        danger=False,
    )


@Page("POST", "/members/{user_id}/offer-ownership", opens=TRANSACTION, again=member)
async def offer_ownership(view: View) -> Answer:
    await view.accounts.ownership.start(view.session, view.tenant_id, view.caller_id, view.path["user_id"])
    return view.go(view.path_of("ownership"), "The ownership is offered.")


@Page("POST", "/ownership/accept", opens=TRANSACTION)
async def accept_ownership(view: View) -> Answer:
    await view.accounts.ownership.accept(view.session, view.tenant_id, view.caller_id)
    return view.go(view.path_of("members", view.caller_id), "You are an owner now.")


@Page("POST", "/ownership/cancel", opens=TRANSACTION)
async def cancel_ownership(view: View) -> Answer:
    offer = await view.accounts.ownership.cancel(view.session, view.tenant_id, view.caller_id)
    done = "declined" if offer.to_user_id == view.caller_id else "withdrawn"
    return view.go(view.path_of("members"), f"The offer of the ownership is {done}.")


async def _name(view: AnyView, user_id: str) -> str:
    """The member's name or address. NotFoundError for one who has left."""
    found = await view.accounts.members.get_user(view.session, view.tenant_id, user_id)
    if found is None:
        raise NotFoundError("There is no such member. The person may have left, or was removed.")
    return found.value.name or found.value.email


OWNERSHIP: list[AnyPage] = [
    ownership,
    ask_to_offer,
    offer_ownership,
    accept_ownership,
    cancel_ownership,
]
