"""The audit trail: what happened in the project, and who did it."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from operator import itemgetter
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from hoc.cus.account.L2_api.bodies import CursorQuery
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.cus.account.L5_schemas.port_types import EventNames
from hoc.cus.account.L5_schemas.results import EventResult


class AuditFilters(CursorQuery):
    """Days are the reader's."""

    type: Annotated[str, Field(max_length=64)] | None = None
    actor: Annotated[str, Field(max_length=255)] | None = None
    since: Annotated[str, Field(max_length=10)] | None = None
    until: Annotated[str, Field(max_length=10)] | None = None


@Page("GET", "/audit", query=AuditFilters, nav=Nav("Audit trail", "list", managers))
async def audit(view: View[None, AuditFilters]) -> Answer:
    query = view.query
    page = await view.accounts.audit.list(
        view.session,
        view.tenant_id,
        view.caller_id,
        actor=query.actor,
        type=query.type,
        since=_midnight(view, "since", query.since),
        until=_midnight(view, "until", query.until, days=1),
        limit=query.limit or 50,
        cursor=query.cursor,
    )
    events = page.value.events
    names = await view.accounts.audit.names(view.session, view.tenant_id, events)
    return view.show(
        "audit.html",
        "Audit trail",
        events=[(each, _actor(view, each, names), _subject(view, each, names)) for each in events],
        people=sorted(names.people.items(), key=itemgetter(1)),
        asked=query.model_dump(include={"type", "actor", "since", "until"}),
        next_cursor=page.next_cursor,
        is_first=not query.cursor,
        types=sorted(EVENTS),
    )


@dataclass(frozen=True, slots=True)
class Named:
    """Whom or what an event names: its id, its name if it has one, and the page about it if there is one."""

    id: str
    name: str | None
    path: str | None = None


def _actor(view: AnyView, event: EventResult, names: EventNames) -> Named | None:
    return None if event.actor is None else _person(view, event.actor, names)


def _subject(view: AnyView, event: EventResult, names: EventNames) -> Named | None:
    """What the event is about, None for one about its actor or the whole project."""
    data = event.data
    if (ticket_id := data.get("ticket_id")) is not None:
        return Named(ticket_id, names.tickets.get(ticket_id), view.path_of("tickets", ticket_id))
    if (invitation_id := data.get("invitation_id")) is not None:
        return Named(invitation_id, names.invitations.get(invitation_id))
    if (invoice_id := data.get("invoice_id")) is not None:
        return Named(invoice_id, data.get("number"), view.path_of("billing"))
    user_id = data.get("to_user_id", event.user_id)
    return None if user_id in {None, event.actor} else _person(view, user_id, names)


def _person(view: AnyView, user_id: str, names: EventNames) -> Named:
    return Named(user_id, names.people.get(user_id), view.path_of("members", user_id))


def _midnight(
    view: View[None, AuditFilters], name: str, given: str | None, *, days: int = 0
) -> datetime | None:
    """The beginning of a day in the reader's zone, or of the day after. Raises InvalidInputError."""
    if given is None:
        return None
    zone = ZoneInfo((view.frame.timezone if view.frame else None) or "UTC")
    try:
        day = datetime.strptime(given, "%Y-%m-%d").date() + timedelta(days=days)  # noqa: DTZ007 - a day alone
        return datetime.combine(day, time(), zone)
    except (ValueError, OverflowError):
        raise InvalidInputError.of_parameter(name, "must be a day such as 2026-12-31") from None


AUDIT: list[AnyPage] = [audit]
