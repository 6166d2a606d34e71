"""What a tenant's owners set up for its SCIM client: tokens, and the roles that groups give."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from hoc.cus.account.L5_schemas.values import Role

_DIRECTORY: Final = "scim:"


@dataclass(frozen=True)
class ScimTokenResult:
    """A token of the tenant's SCIM client, without its text, which nobody can read again.

    ``last_used_at`` is up to a minute behind, and null for a token that was never used.
    """

    id: str
    name: str
    status: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewScimTokenResult:
    """A new token. Its text is in this answer only. The repr does not show it."""

    id: str
    name: str
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class ScimTokensListResult:
    tokens: list[ScimTokenResult]
    total: int


@dataclass(frozen=True)
class ScimGroupRoleResult:
    """The members of a group that is called ``group``, in any case, have at least this role."""

    group: str
    role: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ScimGroupRolesListResult:
    group_roles: list[ScimGroupRoleResult]
    total: int


@dataclass(frozen=True)
class ScimGroupRoleRemovedResult:
    message: str
    group: str


@dataclass(frozen=True, slots=True)
class ScimCaller:
    """Whose token a request carries. Events name ``actor`` as what made a change.

    ``use_is_due``: the time of the last use is older than a minute. Call `ScimTokens.record_use`, after the
    answer if you can.
    """

    tenant_id: str
    token_id: str
    use_is_due: bool = False

    @property
    def actor(self) -> str:
        return f"{_DIRECTORY}{self.token_id}"


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """A user of a tenant's directory, and whose it is.

    ``user_id`` is the account's that was linked to it, or else that has verified the address.
    ``invitation_id`` is that of the invitation to the address that is pending and has not expired. The repr
    does not show the address.
    """

    resource_id: str
    is_active: bool
    email_key: str | None = field(repr=False)
    user_id: str | None
    was_linked: bool
    invitation_id: str | None
    invitation_role: Role | None
    groups: tuple[str, ...]


def is_directory(actor: str) -> bool:
    """Whether an actor or inviter is a tenant's directory. No account has such an id."""
    return actor.startswith(_DIRECTORY)
