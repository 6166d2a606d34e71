"""What a chart of numbers by day repeats for each day. As a template it takes most of a page's time."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from hoc.cus.account.L2_api.pages.formatting import long_day


def chart_columns(days: Sequence[tuple[date, int]]) -> Markup:
    """The columns of a chart in a view box of 100 by ten a day, each with its numbers on hover."""
    top = chart_top(number for _, number in days)
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


def chart_top(numbers: Iterable[int]) -> int:
    """The top of a chart's axis: the least of 2, 4, 6, 8, 10, 20, 40 … that none of the numbers exceeds."""
    most: int = max(numbers, default=0)
    scale = int(f"1{'0' * (len(str(most)) - 1)}")
    return next(step * scale for step in (2, 4, 6, 8, 10) if most <= step * scale)


CHARTS: Final[dict[str, Any]] = {
    "chart_columns": chart_columns,
    "chart_rows": chart_rows,
    "chart_top": chart_top,
}
