"""The audit trail: what happened in the project, and who did it."""

from datetime import datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from hoc.cus.account.L2_api.bodies import CursorQuery
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.events import EVENTS


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
    return view.show(
        "audit.html",
        "Audit trail",
        events=page.value.events,
        asked=query.model_dump(include={"type", "actor", "since", "until"}),
        next_cursor=page.next_cursor,
        is_first=not query.cursor,
        types=sorted(EVENTS),
    )


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
