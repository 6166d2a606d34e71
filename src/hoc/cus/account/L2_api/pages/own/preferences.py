"""One's own preferences: what the product keeps for a person. Texts, numbers and switches can be changed."""

from dataclasses import dataclass
from typing import Annotated, Any

from hoc.cus.account.L2_api.bodies import Body, Digits
from hoc.cus.account.L2_api.operations import CALLER, TRANSACTION
from hoc.cus.account.L2_api.pages.forms import parse
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.errors import InvalidInputError

PATH = "/profile/preferences"
_PREFIX = "preference:"


class FormVersion(Body):
    version: Annotated[int, Digits]


@dataclass(frozen=True, slots=True)
class Preference:
    """``field`` is the name of its form field, None for a list or an object."""

    key: str
    value: Any
    field: str | None
    is_switch: bool


@Page("GET", PATH, requires=CALLER)
async def preferences(view: View) -> Answer:
    own = await view.accounts.profiles.own(view.session, view.caller_id)
    stored = own.value.preferences.items()
    return view.show(
        "profile_preferences.html",
        "Preferences",
        preferences=[_preference(key, value) for key, value in sorted(stored)],
        version=own.version,
    )


# The fields are those of what is stored, and so in no `Body`.
@Page("POST", PATH, requires=CALLER, opens=TRANSACTION, again=preferences)
async def update_preferences(view: View) -> Answer:
    given = dict(view.fields)
    form = parse([(name, given[name]) for name in given if name == "version"], FormVersion, prefix="/")
    own = await view.accounts.profiles.own(view.session, view.caller_id)
    patch = {
        key: _as_stored(value, given[field], field)
        for key, value in own.value.preferences.items()
        if (field := _preference(key, value).field) in given
    }
    await view.accounts.profiles.update(
        view.session, view.caller_id, preferences=patch, expected_version=form.version
    )
    return view.go(PATH, "Your preferences are saved.")


def _preference(key: str, value: Any) -> Preference:  # noqa: ANN401 - any JSON
    is_plain = isinstance(value, str | int | float)
    return Preference(key, value, f"{_PREFIX}{key}" if is_plain else None, isinstance(value, bool))


def _as_stored(stored: Any, given: str, field: str) -> Any:  # noqa: ANN401 - any JSON
    """The value in the type of the stored one. None, which removes it, for a blank one."""
    if isinstance(stored, bool):
        return given == "true"
    if not given or isinstance(stored, str):
        return given or None
    try:
        return int(given) if given.lstrip("-").isdecimal() and given.isascii() else float(given)
    except ValueError:
        raise InvalidInputError.of(field, "must be a number") from None


PREFERENCES: list[AnyPage] = [preferences, update_preferences]
