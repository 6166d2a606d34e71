"""What a member of one role may do to a member of another. What a role allows by itself is on `Role`."""

from hoc.cus.account.L5_schemas.values import Role

_POWER = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.VIEWER: 0}


def can_grant(granter: Role, role: Role) -> bool:
    """Whether a ``granter`` may give somebody this role: one of their own power, at most."""
    return granter.can_manage_users and _POWER[granter] >= _POWER[role]


def can_remove(actor: Role, target: Role) -> bool:
    """Whether an ``actor`` may remove a ``target``: an owner, only another owner may."""
    return actor.can_manage_users and (target is not Role.OWNER or actor is Role.OWNER)


def roles_that_can_grant(role: Role) -> list[Role]:
    return [granter for granter in Role if can_grant(granter, role)]
