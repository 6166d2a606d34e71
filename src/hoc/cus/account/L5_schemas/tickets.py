"""Tickets and their threads beyond the specification: results, and types that cross the engine's ports."""

from dataclasses import dataclass
from datetime import datetime

from hoc.cus.account.L5_schemas.results import SupportTicketResult
from hoc.cus.account.L5_schemas.values import TicketCategory, TicketPriority, TicketStatus


@dataclass(frozen=True)
class ExtendedTicketResult(SupportTicketResult):
    """The specification's ticket, and ``user_id``, the member who opened it."""

    user_id: str


@dataclass(frozen=True)
class ExtendedTicketListResult:
    """The fields of the specification's list, with extended tickets."""

    tickets: list[ExtendedTicketResult]
    total: int


@dataclass(frozen=True)
class TenantTicketResult(ExtendedTicketResult):
    """A ticket in a list that crosses tenants."""

    tenant_id: str
    tenant_name: str


@dataclass(frozen=True)
class TenantTicketListResult:
    """Tickets of all tenants, which are not counted."""

    tickets: list[TenantTicketResult]


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets a list has. None: of every kind."""

    status: TicketStatus | None = None
    priority: TicketPriority | None = None
    category: TicketCategory | None = None


@dataclass(frozen=True)
class TicketReplyResult:
    """One reply. ``author_name`` is null without a name, and for support staff without an account."""

    id: str
    author_id: str
    author_name: str | None
    is_support: bool
    text: str
    created_at: datetime


@dataclass(frozen=True)
class TicketReplyListResult:
    """A ticket's replies, oldest first."""

    replies: list[TicketReplyResult]
    total: int


@dataclass(frozen=True, slots=True)
class NewReply:
    """A reply to be stored. ``is_support``: it is by the support staff, and no member's."""

    id: str
    author_id: str
    is_support: bool
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DueTicketMail:
    """A mail about a ticket, claimed for sending. ``attempts`` includes this one."""

    mail_id: str
    tenant_id: str
    ticket_id: str
    attempts: int

    @property
    def about(self) -> str:
        return f"ticket {self.ticket_id}"


@dataclass(frozen=True, slots=True)
class TicketMailContent:
    """``locale`` is the requester's. Its repr shows no personal data."""

    email: str
    subject: str
    tenant_name: str
    is_resolved: bool
    locale: str | None

    def __repr__(self) -> str:
        return "TicketMailContent()"
