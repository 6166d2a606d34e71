"""The rights of each role over members of the others, as the design states them."""

from dataclasses import dataclass
from typing import Final

ROLES: Final[tuple[str, ...]] = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True, slots=True)
class Rights:
    """The roles that a member may grant, and those of the members whom they may remove or change."""

    may_grant: tuple[str, ...] = ()
    may_remove: tuple[str, ...] = ()
    may_change: tuple[str, ...] = ()


RIGHTS: Final = {
    "owner": Rights(ROLES, ROLES, ROLES),
    "admin": Rights(("admin", "member", "viewer"), ("admin", "member", "viewer")),
    "member": Rights(),
    "viewer": Rights(),
}
EVERY_PAIR: Final = [(role, other) for role in ROLES for other in ROLES]
