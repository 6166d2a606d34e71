"""A small SVG plot: milliseconds by number of accounts, which grows tenfold from point to point."""

from collections.abc import Sequence
from math import log10
from typing import Final

_WIDTH: Final = 420
_HEIGHT: Final = 220
_LEFT: Final = 60
_RIGHT: Final = 30
_TOP: Final = 36
_BOTTOM: Final = 34


def curve(title: str, points: Sequence[tuple[float, float]]) -> str:
    """The vertical axis begins at zero, so that a flat curve looks flat."""
    first, last = log10(points[0][0]), log10(points[-1][0])
    highest = max(value for _, value in points) * 1.25
    places = [
        (
            _LEFT + (log10(accounts) - first) / ((last - first) or 1) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - value / highest * (_HEIGHT - _TOP - _BOTTOM),
        )
        for accounts, value in points
    ]
    base = _HEIGHT - _BOTTOM
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:.2f} ms</text>'
        f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{accounts:,.0f}</text>'
        for (x, y), (accounts, value) in zip(places, points, strict=True)
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="sans-serif" font-size="11">'
        '<rect width="100%" height="100%" fill="white"/>'
        f'<text x="{_LEFT}" y="18" font-size="13">{title}: p50 by accounts</text>'
        f'<path d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}" stroke="grey" fill="none"/>'
        f'<polyline points="{line}" stroke="black" fill="none" stroke-width="1.5"/>{marks}</svg>\n'
    )
