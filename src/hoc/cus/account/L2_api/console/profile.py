"""The caller's own profile."""

from hoc.cus.account.L2_api.bodies import UpdateProfile
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import MEMBER, READ, STATEMENT, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Versioned
from hoc.cus.account.L5_schemas.results import ExtendedProfileResult, ExtendedProfileUpdateResult


@Operation("GET", "/profile", Versioned[ExtendedProfileResult], requires=MEMBER, opens=READ)
async def get_profile(accounts: AccountsFacade, call: Call) -> Versioned[ExtendedProfileResult]:
    """Read the caller's profile in the tenant."""
    return await accounts.profiles.get(call.session, call.tenant_id, call.caller_id)


@Operation(
    "PUT",
    "/profile",
    Versioned[ExtendedProfileUpdateResult],
    opens=STATEMENT,
    body=UpdateProfile,
    errors=(404,),
    conditional=True,
)
async def update_profile(
    accounts: AccountsFacade, call: Call[UpdateProfile]
) -> Versioned[ExtendedProfileUpdateResult]:
    """Change the caller's name, picture, time zone, locale and preferences."""
    return await accounts.profiles.update(
        call.session,
        call.caller_id,
        **call.body.model_dump(exclude_unset=True),
        expected_version=call.expected_version,
    )


PROFILE: list[AnyOperation] = [get_profile, update_profile]
