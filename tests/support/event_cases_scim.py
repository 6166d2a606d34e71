"""A case for each event of what owners set up for their SCIM client."""

from datetime import timedelta
from typing import Any, Final

from support.event_scene import Case, Scene

from hoc.cus.account.L5_schemas import events
from hoc.cus.account.L5_schemas.scim import NewScimTokenResult, ScimCaller
from hoc.cus.account.L5_schemas.values import Role

YEAR: Final = timedelta(days=365)


async def make_token(it: Scene, session: Any) -> NewScimTokenResult:
    return await it.facade.scim_tokens.create(session, it.tenant_id, it.team.owner, name="Directory")


async def newest(it: Scene, session: Any) -> str:
    """The id of the tenant's newest token. The clock is as before: this is no part of the operation."""
    now = it.world.clock.now
    page = await it.facade.scim_tokens.list(session, it.tenant_id, it.team.owner)
    it.world.clock.now = now
    return page.value.tokens[0].id if page.value.tokens else "sct_none"


async def revoke_newest(it: Scene, session: Any) -> object:
    token_id = await newest(it, session)
    return await it.facade.scim_tokens.revoke(session, it.tenant_id, it.team.owner, token_id)


async def revoke(it: Scene, session: Any) -> object:
    await make_token(it, session)
    return await revoke_newest(it, session)


async def use_newest(it: Scene, session: Any) -> None:
    caller = ScimCaller(it.tenant_id, await newest(it, session))
    await it.facade.scim_tokens.record_use(session, caller)


async def set_role(it: Scene, session: Any) -> object:
    return await it.facade.scim_group_roles.set(
        session, it.tenant_id, it.team.owner, "Engineers", role="admin"
    )


async def remove_role(it: Scene, session: Any) -> object:
    return await it.facade.scim_group_roles.remove(session, it.tenant_id, it.team.owner, "ENGINEERS")


async def set_and_remove(it: Scene, session: Any) -> None:
    await set_role(it, session)
    await remove_role(it, session)


SCIM_CASES: Final = {
    "scim.token_created": Case(
        make_token,
        lambda it, made: it.event(
            events.ScimTokenCreatedEventData(
                it.tenant_id, made.id, "Directory", expires_at=it.now + YEAR, created_at=it.now
            ),
            it.team.owner,
        ),
        again=lambda it, s: it.facade.scim_tokens.create(s, it.tenant_id, it.team.admin, name="Directory"),
    ),
    "scim.token_revoked": Case(
        revoke,
        lambda it, made: it.event(
            events.ScimTokenRevokedEventData(it.tenant_id, made.id, "Directory", revoked_at=it.now),
            it.team.owner,
        ),
        beside=("scim.token_created",),
        again=revoke_newest,
    ),
    "scim.group_role_set": Case(
        set_role,
        lambda it, _: it.event(
            events.ScimGroupRoleSetEventData(it.tenant_id, "Engineers", Role.ADMIN, set_at=it.now),
            it.team.owner,
        ),
    ),
    "scim.group_role_removed": Case(
        set_and_remove,
        lambda it, _: it.event(
            events.ScimGroupRoleRemovedEventData(it.tenant_id, "Engineers", Role.ADMIN, removed_at=it.now),
            it.team.owner,
        ),
        beside=("scim.group_role_set",),
        again=remove_role,
    ),
}
