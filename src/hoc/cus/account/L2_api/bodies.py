"""Request bodies and query parameters: their shape, strictly. What values mean is the engines' business."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A JSON object with exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateProject(Body):
    name: str
    slug: str | None = None
    description: str | None = None


class InviteUser(Body):
    email: str
    role: str = "member"
    expires_in_days: int = 7


class ResendInvitation(Body):
    expires_in_days: int = 7


class AcceptInvitation(Body):
    token: str


class ChangeRole(Body):
    role: str


class UpdateProfile(Body):
    display_name: str | None = None
    timezone: str | None = None
    preferences: dict[str, Any] | None = Field(None, description="merged (RFC 7396): null deletes a key")


class CreateTicket(Body):
    subject: str
    description: str
    category: str = "general"
    priority: str = "medium"


class StartTransfer(Body):
    to_user_id: str


# Digits only (in pydantic, $ is the very end): Python's int() would also take ١٢, 1_0 and surrounding spaces.
Digits = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


class Query(BaseModel):
    """Query parameters; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CursorQuery(Query):
    """``limit`` 1 to 100; a ``cursor`` from the page before."""

    limit: Digits | None = None
    cursor: Annotated[str, Field(max_length=1_024)] | None = None


class PageQuery(CursorQuery):
    """Instead of a ``cursor``, an ``offset`` to 10,000."""

    offset: Digits | None = None


class AuditQuery(CursorQuery):
    """``since`` and ``until`` are ISO 8601 with a time zone."""

    actor: Annotated[str, Field(max_length=255)] | None = None
    type: Annotated[str, Field(max_length=64)] | None = None
    since: datetime | None = None
    until: datetime | None = None


class FeedQuery(Query):
    """``after`` is a sequence number; ``limit`` 1 to 100."""

    after: Annotated[str, Field(pattern=r"^[0-9]{1,19}$")] | None = None
    limit: Digits | None = None


class StatusQuery(PageQuery):
    status: Annotated[str, Field(max_length=32)] | None = None


class UsersQuery(StatusQuery):
    role: Annotated[str, Field(max_length=32)] | None = None


class AccountsQuery(Query):
    """``page`` and ``page_size`` (1 to 100) to 10,000 accounts deep, or a ``cursor`` from the page before."""

    page: Digits | None = None
    page_size: Digits | None = None
    is_active: Literal["true", "false", "all"] | None = None
    search: Annotated[str, Field(max_length=255)] | None = None
    cursor: Annotated[str, Field(max_length=1_024)] | None = None


class SearchQuery(Query):
    query: Annotated[str, Field(max_length=255)]
    limit: Digits | None = None
    include_inactive: Literal["true", "false"] | None = None


class DeletionQuery(Query):
    reason: Annotated[str, Field(max_length=500)] | None = None
