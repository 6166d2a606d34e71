"""Request bodies and query parameters: their shape, strictly. What values mean is the engines' business."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from hoc.cus.account.L5_engines.invitations import MAX_INVITEES
from hoc.cus.account.L5_engines.operators import MAX_DAYS
from hoc.cus.account.L5_engines.paging import MAX_CURSOR_LENGTH, MAX_LIMIT, MAX_OFFSET
from hoc.cus.account.L5_engines.tenant_export import MAX_EXPORT_CURSOR
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.cus.account.L5_schemas.values import (
    GivenDomainJoining,
    GivenRole,
    GivenTenantStatus,
    GivenTicketCategory,
    GivenTicketPriority,
)

_DIGITS = re.compile(r"[0-9]{1,19}")


class Body(BaseModel):
    """A JSON object with exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateProject(Body):
    name: str
    slug: str | None = None
    description: str | None = None


class UpdateProject(Body):
    name: str | None = None
    slug: str | None = None
    description: str | None = Field(None, description="null removes it")
    metadata: dict[str, Any] | None = Field(None, description="merged (RFC 7396): null deletes a key")
    invitations_only_to_domains: bool | None = Field(
        None, description="whether only addresses in verified domains can be invited; owners change it"
    )


class UpdateMember(Body):
    metadata: dict[str, Any] | None = Field(None, description="merged (RFC 7396): null deletes a key")


class ChangeTenantStatus(Body):
    status: GivenTenantStatus


class InviteUser(Body):
    email: str
    role: GivenRole = "member"
    expires_in_days: int = 7


class InviteUsers(Body):
    invitations: list[InviteUser] = Field(description=f"1 to {MAX_INVITEES}; each is invited or refused")


class ResendInvitation(Body):
    expires_in_days: int = 7


class AcceptInvitation(Body):
    token: str


class InvitationToken(Body):
    token: str


class ClaimDomain(Body):
    domain: str


class ChangeDomain(Body):
    joining: GivenDomainJoining | None = None
    join_role: GivenRole | None = Field(None, description="of those who join; never owner")


class CreateScimToken(Body):
    name: str = Field(description="what the token is for; 100 characters at most")
    expires_in_days: int = Field(365, description="1 to 365")


class SetScimGroupRole(Body):
    group: str
    role: GivenRole = Field(description="of the group's members; never owner")


class GrantRequest(Body):
    role: GivenRole | None = Field(None, description="the domain's by default; never owner")


class CreateWebhook(Body):
    url: str = Field(description="https")
    event_types: list[str] | None = Field(None, description="those to send; null: all")
    description: str | None = None


class ChangeWebhook(Body):
    url: str | None = None
    event_types: list[str] | None = Field(None, description="null: all")
    description: str | None = Field(None, description="null removes it")
    enabled: bool | None = None
    from_now: bool = Field(False, description="with `enabled`: skip what it has missed")


class RotateSecret(Body):
    overlap_hours: int = Field(24, description="for which the secret before signs too; 0 to 168")


class ChangeRole(Body):
    role: GivenRole


class UpdateProfile(Body):
    display_name: str | None = None
    timezone: str | None = Field(None, description="an IANA name; null removes it")
    locale: str | None = Field(None, description="a BCP 47 language tag; null removes it")
    avatar_url: str | None = Field(None, description="an https URL; null removes it")
    preferences: dict[str, Any] | None = Field(None, description="merged (RFC 7396): null deletes a key")


class CreateTicket(Body):
    subject: str
    description: str
    category: GivenTicketCategory = "general"
    priority: GivenTicketPriority = "medium"


class ReplyToTicket(Body):
    text: str


class ResolveTicket(Body):
    resolution: str | None = None


class StartTransfer(Body):
    to_user_id: str


def _from_digits(given: object) -> int:
    """Python's int() would also take ١٢, 1_0 and surrounding spaces; the length bounds what it costs."""
    if isinstance(given, str) and _DIGITS.fullmatch(given):
        return int(given)
    raise PydanticCustomError("whole_number", "must be a whole number, in at most 19 digits")


def _whole(minimum: int, maximum: int) -> WithJsonSchema:
    """How OpenAPI shows a number, whose bounds the engine enforces."""
    return WithJsonSchema({"type": "integer", "minimum": minimum, "maximum": maximum})


Digits = BeforeValidator(_from_digits)
Limit = Annotated[int, Digits, _whole(1, MAX_LIMIT)]
Offset = Annotated[int, Digits, _whole(0, MAX_OFFSET)]
PageNumber = Annotated[int, Digits, _whole(1, MAX_OFFSET + 1)]
Days = Annotated[int, Digits, _whole(1, MAX_DAYS)]
Sequence = Annotated[int, Digits, _whole(0, 2**63 - 1)]
Cursor = Annotated[str, Field(max_length=MAX_CURSOR_LENGTH)]


class Query(BaseModel):
    """Query parameters. Without fields of its own, it takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self) -> dict[str, Any]:
        """The parameters that the request gives, as keyword arguments."""
        return self.model_dump(exclude_none=True)


class CursorQuery(Query):
    """``limit`` and the ``cursor`` that the page before gave."""

    limit: Limit | None = None
    cursor: Cursor | None = None


class ExportQuery(Query):
    """As `CursorQuery`, with longer cursors."""

    limit: Limit | None = None
    cursor: Annotated[str, Field(max_length=MAX_EXPORT_CURSOR)] | None = None


class PageQuery(CursorQuery):
    """An ``offset`` may take the place of the ``cursor``."""

    offset: Offset | None = None


class AuditQuery(CursorQuery):
    """``since`` and ``until`` are ISO 8601 with a time zone."""

    actor: Annotated[str, Field(max_length=255)] | None = None
    type: Annotated[str, Field(max_length=64), WithJsonSchema({"enum": list(EVENTS)})] | None = None
    since: datetime | None = None
    until: datetime | None = None


class FeedQuery(Query):
    """``after`` is a sequence number."""

    after: Sequence | None = None
    limit: Limit | None = None


class StatusQuery(PageQuery):
    status: Annotated[str, Field(max_length=32)] | None = None


class TicketsQuery(StatusQuery):
    priority: Annotated[str, Field(max_length=32)] | None = None
    category: Annotated[str, Field(max_length=32)] | None = None


class AllTicketsQuery(CursorQuery):
    status: Annotated[str, Field(max_length=32)] | None = None
    priority: Annotated[str, Field(max_length=32)] | None = None
    category: Annotated[str, Field(max_length=32)] | None = None


class RoleQuery(PageQuery):
    role: Annotated[str, Field(max_length=32)] | None = None


class InvitationsQuery(StatusQuery):
    delivery: Annotated[str, Field(max_length=32)] | None = None


class TenantsQuery(CursorQuery):
    """``search`` is three or more characters of a name or slug, or a whole id."""

    status: Annotated[str, Field(max_length=32)] | None = None
    search: Annotated[str, Field(max_length=255)] | None = None


class RegistrationsQuery(Query):
    """``days`` are the last UTC days, today included; 30 by default."""

    days: Days | None = None


class UsersQuery(StatusQuery):
    """``search`` is part of a name or address, in any case."""

    role: Annotated[str, Field(max_length=32)] | None = None
    search: Annotated[str, Field(max_length=255)] | None = None


class AccountsQuery(Query):
    """``page`` and ``page_size`` reach 10,000 accounts deep, a ``cursor`` from the page before further."""

    page: PageNumber | None = None
    page_size: Limit | None = None
    is_active: Literal["true", "false", "all"] | None = None
    search: Annotated[str, Field(max_length=255)] | None = None
    cursor: Cursor | None = None


class SearchQuery(Query):
    query: Annotated[str, Field(max_length=255)]
    limit: Limit | None = None
    include_inactive: Literal["true", "false"] | None = None


class DeletionQuery(Query):
    reason: Annotated[str, Field(max_length=500)] | None = None


class IdentityQuery(Query):
    """``issuer`` is left out, or empty, for the primary issuer."""

    subject: Annotated[str, Field(max_length=255)]
    issuer: Annotated[str, Field(max_length=255)] | None = None
