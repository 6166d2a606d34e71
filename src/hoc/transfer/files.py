"""Rows of a CSV or JSON lines file with the line each begins on. Knows nothing of accounts."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, TypeAlias

import orjson

_SUFFIXES = {".csv": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BOM = b"\xef\xbb\xbf"

Row: TypeAlias = dict[str, Any]


class Format(StrEnum):
    """How accounts stand in a file."""

    CSV = "csv"
    JSONL = "jsonl"


class FileError(ValueError):
    """A file cannot be read at all; the message is for its owner."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken: the line it begins on, counted from 1, and why."""

    line: int
    reason: str


class Rows:
    """The rows of a file, each with its line, those that cannot be read as a `Rejection`.

    Args:
        file: read from its start, once.
        name: its ending tells the format; with another one the first character does.
        required: columns that the header of a CSV file must have.
        known: columns that it may have.
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
        """Read on; FileError for a header that does not fit."""
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
        # What is not UTF-8 stays recognisable, so that it costs its own row only.
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
                # An empty value is none: CSV does not tell the two apart.
                yield number, {name: value or None for name, value in zip(header, values, strict=True)}

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
        return f"unknown column {listed}; known are {', '.join(sorted(self._known))}"


def file_format(name: str) -> Format | None:
    """Tell the format by the ending of a file's name; None if it says nothing."""
    found = _SUFFIXES.get(PurePath(name).suffix.lower())
    return None if found is None else Format(found)


def _format_of(file: io.BufferedReader) -> Format:
    begins = file.peek(1024).removeprefix(_BOM).lstrip()
    return Format.JSONL if begins.startswith((b"{", b"[")) else Format.CSV
