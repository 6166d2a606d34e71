"""Rows of a CSV or JSON lines file, whatever they describe."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, TypeAlias

import orjson

from hoc.cus.account.L6_drivers.bulk_accounts import FORMULA

_SUFFIXES = {".csv": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_MARKED = re.compile(f"'{FORMULA}")
_BOM = b"\xef\xbb\xbf"

Row: TypeAlias = dict[str, Any]


class Format(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSONL = "jsonl"


class FileError(ValueError):
    """The file cannot be read at all. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected row: the line that it begins on, counted from 1, and the reason."""

    line: int
    reason: str


class Rows:
    """Iterates over the rows of a file. Gives each with its line, or a `Rejection` if it cannot be read.

    Args:
        file: is read once, from its start.
        name: its ending decides the format; if that is unknown, the file's first character does.
        required: columns that a CSV file's header must have.
        known: columns that the file may have.
    """

    def __init__(
        self, file: io.BufferedReader, name: str, *, required: Iterable[str], known: Iterable[str]
    ) -> None:
        self._file = file
        self._format = file_format(name) or _format_of(file)
        self._required = tuple(required)
        self._known = frozenset(known)
        self.bytes_read = 0

    def __iter__(self) -> Iterator[tuple[int, Row] | Rejection]:
        """Raises FileError for a wrong header."""
        return self._json_rows() if self._format is Format.JSONL else self._csv_rows()

    def _lines(self) -> Iterator[bytes]:
        for line in self._file:
            text = line.removeprefix(_BOM) if self.bytes_read == 0 else line
            self.bytes_read += len(line)
            yield text

    def _json_rows(self) -> Iterator[tuple[int, Row] | Rejection]:
        for number, line in enumerate(self._lines(), start=1):
            if line.isspace():
                continue
            try:
                row: Row | list[Any] | str | float | None = orjson.loads(line)
            except orjson.JSONDecodeError:
                yield Rejection(number, "is not JSON")
                continue
            if not isinstance(row, dict):
                yield Rejection(number, "is not a JSON object")
            elif unknown := row.keys() - self._known:
                yield Rejection(number, self._unknown(unknown))
            else:
                yield number, row

    def _csv_rows(self) -> Iterator[tuple[int, Row] | Rejection]:
        # Bytes that are not UTF-8 become surrogates, for which their own row is rejected and no other.
        reader = csv.reader(line.decode("utf-8", "surrogateescape") for line in self._lines())
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield Rejection(number, f"is not CSV ({problem})")
                continue
            if not values:
                continue
            if header is None:
                header = self._checked(values)
            elif len(values) != len(header):
                yield Rejection(number, f"has {len(values)} values for {len(header)} columns")
            else:
                yield number, {name: _value(cell) for name, cell in zip(header, values, strict=True)}

    def _checked(self, header: list[str]) -> list[str]:
        if unknown := set(header) - self._known:
            raise FileError(f"line 1: {self._unknown(unknown)}")
        if missing := [name for name in self._required if name not in header]:
            raise FileError(f"line 1: the header lacks {', '.join(missing)}")
        if len(set(header)) < len(header):
            raise FileError("line 1: the header has a column twice")
        return header

    def _unknown(self, names: Iterable[str]) -> str:
        listed = ", ".join(repr(name[:40]) for name in sorted(names))
        return f"unknown column {listed}; the known columns are {', '.join(sorted(self._known))}"


def _value(cell: str) -> str | None:
    """The value of a CSV cell: without the apostrophe of an exported formula, and None if it is empty."""
    # CSV cannot tell an empty value from a missing one.
    return cell[1:] if _MARKED.match(cell) else cell or None


def file_format(name: str) -> Format | None:
    """Return the format that belongs to the ending of a file's name, or None."""
    found = _SUFFIXES.get(PurePath(name).suffix.lower())
    return None if found is None else Format(found)


def _format_of(file: io.BufferedReader) -> Format:
    start = file.peek(1024).removeprefix(_BOM).lstrip()
    return Format.JSONL if start.startswith((b"{", b"[")) else Format.CSV
