"""Times in the reader's zone."""

from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from hoc.cus.account.L2_api.pages.formatting import long_day


@pass_context
def moment(context: Context, at: datetime | None) -> Markup:
    """A time in the reader's zone, to the minute. The exact one is in ``title`` and ``datetime``."""
    return Markup(time_of(at, context.get("zone"), with_clock=True))  # noqa: S704 - it is HTML


@pass_context
def day(context: Context, at: datetime | None) -> Markup:
    """The day of a time in the reader's zone."""
    return Markup(time_of(at, context.get("zone"), with_clock=False))  # noqa: S704 - it is HTML


def time_of(at: datetime | None, zone: ZoneInfo | None, *, with_clock: bool) -> str:
    """The HTML of a time. Nothing in it needs to be escaped: digits, and the names of months and zones."""
    if at is None:
        return '<span class="muted">Never</span>'
    local = at.astimezone(zone or UTC)
    written = local.isoformat(timespec="seconds")
    exact = at.astimezone(UTC).isoformat(timespec="seconds") if zone else written
    date, clock = long_day(local), written[11:19]
    local_to = "" if zone else f' data-local="{"minute" if with_clock else "day"}"'
    return (
        f'<time datetime="{exact[:19]}Z" title="{date}, {clock} {local.tzname()}"{local_to}>'
        f"{f'{date}, {clock[:5]}' if with_clock else date}</time>"
    )


TIMES: Final[dict[str, Any]] = {"moment": moment, "day": day}
