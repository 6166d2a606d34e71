"""Who may do what to whom, as pure functions of two roles. What a role may do alone is on `Role`."""

from hoc.cus.account.L5_schemas.values import Role

_POWER = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.VIEWER: 0}


def can_grant(granter: Role, role: Role) -> bool:
    """Whether ``granter`` may make somebody a ``role``: nobody grants above their own."""
    return granter.can_manage_users and _POWER[granter] >= _POWER[role]


def can_remove(actor: Role, target: Role) -> bool:
    """Only an owner touches an owner."""
    return actor.can_manage_users and (target is not Role.OWNER or actor is Role.OWNER)


def roles_that_can_grant(role: Role) -> list[Role]:
    return [granter for granter in Role if can_grant(granter, role)]
