"""The caller's own profile."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import UpdateProfile
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.profiles import Profiles
from hoc.cus.account.L5_schemas.results import ProfileResult, ProfileUpdateResult


class ProfileRoutes:
    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/profile",
                self.get_profile,
                "Read the caller's profile in the tenant",
                ProfileResult,
                versioned=True,
            ),
            Operation(
                "PUT",
                "/profile",
                self.update_profile,
                "Change the caller's name, time zone and preferences",
                ProfileUpdateResult,
                body=UpdateProfile,
                errors=(404, 412),
                versioned=True,
                conditional=True,
            ),
        ]

    async def get_profile(self, call: Call) -> Response:
        member = await call.member()
        return answer(
            await call.read(lambda session: self._profiles.get(session, member.tenant_id, member.user_id))
        )

    async def update_profile(self, call: Call) -> Response:
        caller_id = call.caller.user_id
        body = await call.body(UpdateProfile)
        version = call.expected_version()
        return await call.write_once(
            lambda session: self._profiles.update(
                session, caller_id, **body.model_dump(), expected_version=version
            )
        )
