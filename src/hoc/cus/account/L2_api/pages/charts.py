"""Charts and bars: what they repeat, which takes most of a page's time as a template."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from markupsafe import Markup, escape

from hoc.cus.account.L2_api.pages.formatting import long_day

_FULL: Final = 100
_NEARLY_FULL: Final = 80


def chart_columns(days: Sequence[tuple[date, int]], top: int) -> Markup:
    """The columns of a chart in a view box of 100 by ten a day, each with its numbers on hover."""
    columns = (_column(10 * index, at, number, top) for index, (at, number) in enumerate(days))
    return Markup("\n".join(columns))  # noqa: S704 - digits, and the names of months


def _column(left: int, at: date, number: int, top: int) -> str:
    height = round(100 * number / top, 2)
    return (
        f'<g class="column"><title>{long_day(at)}: {number:,}</title>'
        f'<rect class="room" x="{left}" width="10" height="100"/>'
        f'<rect class="value" x="{left + 1.5}" y="{100 - height:g}" width="7" height="{height:g}"/></g>'
    )


def chart_rows(days: Sequence[tuple[date, int]]) -> Markup:
    """The rows of the table behind a chart, the newest first."""
    return Markup(  # noqa: S704 - digits, and the names of months
        "\n".join(
            f'<tr><th scope="row"><time datetime="{at.isoformat()}">{long_day(at)}</time></th>'
            f'<td class="number">{number:,}</td></tr>'
            for at, number in reversed(days)
        )
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What a chart says of all its days. ``most`` is the day with the highest number, and the number."""

    top: int
    total: int
    most: tuple[date, int]


def chart_figures(days: Sequence[tuple[date, int]]) -> Figures:
    most = max(days, key=lambda each: each[1])
    return Figures(_top(most[1]), sum(number for _, number in days), most)


def _top(most: int) -> int:
    """The top of an axis: the least of 2, 4, 6, 8, 10, 20, 40 … that ``most`` does not exceed."""
    scale = int(f"1{'0' * (len(str(most)) - 1)}")
    return next(step * scale for step in (2, 4, 6, 8, 10) if most <= step * scale)


def quota_bar(label: str, used: int, limit: int) -> Markup:
    """How much of a quota is used."""
    share = min(round(100 * used / limit, 1), 100) if limit else 0
    tone = "bad" if share >= _FULL else "warn" if share >= _NEARLY_FULL else ""
    name = escape(label)
    return Markup(  # noqa: S704 - the label is escaped, and the rest are numbers
        f'<div class="quota"><p><span>{name}</span>'
        f'<span class="figures">{used:,} <span class="muted">of {limit:,}</span></span></p>'
        f'<svg class="bar {tone}" width="100%" height="8" role="img"'
        f' aria-label="{name}: {int(share)} percent used">'
        f'<rect class="track" width="100%" height="8" rx="4"/>'
        f'<rect class="used" width="{share}%" height="8" rx="4"/></svg></div>'
    )


CHARTS: Final[dict[str, Any]] = {
    "chart_columns": chart_columns,
    "chart_rows": chart_rows,
    "chart_figures": chart_figures,
    "quota_bar": quota_bar,
}
