"""One's own profile."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from markupsafe import Markup

from hoc.cus.account.L2_api.bodies import Body, Digits
from hoc.cus.account.L2_api.operations import CALLER, STATEMENT
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View


class ProfileForm(Body):
    """Every field is sent. A blank one removes what is stored."""

    display_name: str
    avatar_url: str | None = None
    timezone: str | None = None
    locale: str | None = None
    version: Annotated[int, Digits]


@Page("GET", "/profile", requires=CALLER, nav=Nav("Profile", "person"))
async def profile(view: View) -> Answer:
    own = await view.accounts.profiles.own(view.session, view.caller_id)
    return view.show("profile.html", "Profile", own=own.value, version=own.version, zones=zone_options())


@Page("POST", "/profile", requires=CALLER, opens=STATEMENT, body=ProfileForm, again=profile)
async def update_profile(view: View[ProfileForm]) -> Answer:
    form = view.body
    await view.accounts.profiles.update(
        view.session,
        view.caller_id,
        display_name=form.display_name,
        avatar_url=form.avatar_url,
        timezone=form.timezone,
        locale=form.locale,
        expected_version=form.version,
    )
    return view.go("/profile", "Your profile is saved.")


@cache
def zone_options() -> Markup:
    """The time zones that cities name, and UTC, to choose from while typing."""
    areas = (
        "Africa/",
        "America/",
        "Antarctica/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    )
    zones = [zone for zone in available_timezones() if zone.startswith(areas)]
    return Markup("").join(Markup('<option value="{}">').format(zone) for zone in sorted([*zones, "UTC"]))


PROFILE: list[AnyPage] = [profile, update_profile]
