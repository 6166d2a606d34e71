"""The report: printed row by row, and kept as Markdown and JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from plot import curve

RESULTS: Final = Path(__file__).parents[1] / "results"
_LARGE: Final = 1_000  # from here on without a fraction
_WIDTHS: Final = (66, 14, 9, 7)


@dataclass(frozen=True, slots=True)
class Goal:
    limit: float
    is_least: bool

    def met(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.limit:g}"


def at_least(limit: float) -> Goal:
    return Goal(limit, is_least=True)


def at_most(limit: float) -> Goal:
    return Goal(limit, is_least=False)


@dataclass(frozen=True, slots=True)
class Row:
    part: str
    name: str
    value: float
    unit: str
    goal: Goal | None
    detail: str

    @property
    def shown(self) -> str:
        digits = 0 if abs(self.value) >= _LARGE or float(self.value).is_integer() else 2
        return f"{self.value:,.{digits}f} {self.unit}"

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "ok" if self.goal.met(self.value) else "short"


class Report:
    """Each row rewrites the files, so that an interrupted run leaves its rows."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._started = datetime.now(UTC)
        self.directory = RESULTS / f"speed-{self._started:%Y%m%d-%H%M%S}"
        self.directory.mkdir(parents=True)
        self._about = {
            "started": self._started.isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "load_before": os.getloadavg()[0],
            **options,
        }
        self._rows: list[Row] = []
        self._curves: list[Path] = []
        self._part = ""
        for name, value in self._about.items():
            print(f"{name}: {value}")

    def begin(self, part: str) -> None:
        self._part = part
        print(f"\n{part}", flush=True)

    def add(self, name: str, value: float, unit: str, *, goal: Goal | None = None, detail: str = "") -> None:
        row = Row(self._part, name, value, unit, goal, detail)
        self._rows.append(row)
        cells = (name, row.shown, str(goal or ""), row.verdict)
        print("  " + "".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)) + detail)
        self._write()

    def plot(self, name: str, points: Sequence[tuple[float, float]]) -> None:
        """Keep a plot of milliseconds by number of accounts."""
        file = self.directory / f"{name.replace(' ', '-').replace(',', '')}.svg"
        file.write_text(curve(name, points))
        self._curves.append(file)
        self._write()

    @property
    def short(self) -> list[Row]:
        return [row for row in self._rows if row.verdict == "short"]

    def _write(self) -> None:
        kept = {"about": self._about, "rows": [asdict(row) | {"verdict": row.verdict} for row in self._rows]}
        (self.directory / "report.json").write_text(json.dumps(kept, indent=2) + "\n")
        (self.directory / "report.md").write_text(self._markdown())

    def _markdown(self) -> str:
        lines = [f"# Speed, {self._about['started']}", ""]
        lines += [f"- {name}: {value}" for name, value in self._about.items()]
        for part in dict.fromkeys(row.part for row in self._rows):
            lines += ["", f"## {part}", "", "| | measured | goal | | |", "|---|--:|--:|---|---|"]
            lines += [
                f"| {row.name} | {row.shown} | {row.goal or ''} | {row.verdict} | {row.detail} |"
                for row in self._rows
                if row.part == part
            ]
        if self._curves:
            lines += ["", *(f"![{file.stem}]({file.name})" for file in self._curves)]
        return "\n".join(lines) + "\n"
