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
_HEAD = 1_024
# UTF-32's little-endian mark begins like UTF-16's.
_ENCODINGS = {b"\xff\xfe\0\0": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_SEPARATORS = {b";": "semicolons (;)", b"\t": "tabs", b"|": "bars (|)"}
_NOT_UTF_8 = "is not in UTF-8, but perhaps in Windows-1252: save the file as UTF-8"

Row: TypeAlias = dict[str, Any]


class Format(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSONL = "jsonl"


class FileError(ValueError):
    """The file cannot be read at all. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a file, and the lines that it begins and ends on, counted from 1."""

    line: int
    last_line: int
    values: Row
    identities: tuple[tuple[str, str], ...] = ()
    """The issuer and the subject of each identity to link."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected row: the line that it begins on, counted from 1, the reason, and the line it ends on."""

    line: int
    reason: str
    last_line: int | None = None

    @property
    def lines(self) -> int:
        """How many lines the row takes: more than one, if a quote is closed too late or never."""
        return 1 if self.last_line is None else self.last_line - self.line + 1

    def __str__(self) -> str:
        taken = f"; a quote makes lines {self.line} to {self.last_line} one row" if self.lines > 1 else ""
        return f"line {self.line}: {self.reason}{taken}"


class Rows:
    """Iterates over the rows of a file. Gives each with its line, or a `Rejection` if it cannot be read.

    Args:
        file: is read once, from its start.
        name: its ending decides the format; if that is unknown, the file's first character does.
        required: columns that a CSV file's header must have.
        known: columns that the file may have; None for any.
    """

    def __init__(
        self, file: io.BufferedReader, name: str, *, required: Iterable[str], known: Iterable[str] | None
    ) -> None:
        self._file = file
        self._format = file_format(name) or _format_of(file)
        self._required = tuple(required)
        self._known = None if known is None else frozenset(known)
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Record | Rejection]:
        """Raises FileError for another encoding, no JSON lines, or a wrong header."""
        head = self._file.peek(_HEAD)[:_HEAD]
        if encoding := _encoding_of(head):
            raise FileError(f"is in {encoding}: save it as UTF-8")
        return self._json_rows() if self._format is Format.JSONL else self._csv_rows()

    def _lines(self) -> Iterator[bytes]:
        for line in self._file:
            text = line.removeprefix(_BOM) if self.bytes_read == 0 else line
            self.bytes_read += len(line)
            if b"\r" in text[:-2]:  # line ends of old Macs
                yield from text.splitlines(keepends=True)
            else:
                yield text

    def _json_rows(self) -> Iterator[Record | Rejection]:
        is_first = True
        for number, line in enumerate(self._lines(), start=1):
            if line.isspace():
                continue
            if is_first and line.lstrip().startswith(b"["):
                raise FileError(
                    f"line {number}: is a JSON array, but JSON lines are needed: one object a line, without"
                    " brackets around them and commas between them; `jq -c '.[]'` makes them of an array"
                )
            is_first = False
            row = json_object(line, number, number)
            if isinstance(row, Record) and (unknown := self._unknown_of(row.values)):
                yield Rejection(number, unknown)
            else:
                yield row

    def _csv_rows(self) -> Iterator[Record | Rejection]:
        if separator := _separator_of(self._file.peek(_HEAD)):
            raise FileError(f"the columns are separated by {separator}; CSV has commas (,)")
        # Bytes that are not UTF-8 become surrogates, for which their own row is rejected and no other.
        lines = (line.decode("utf-8", "surrogateescape") for line in self._lines())
        reader = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                break
            except csv.Error as problem:
                if header is None:
                    raise FileError(f"line {number}: the header is not CSV ({problem})") from None
                yield Rejection(number, self._not_csv(problem), reader.line_num)
                continue
            if not any(value.strip() for value in values):
                continue
            if header is None:
                header = self._checked(values, number)
            else:
                yield _row(values, header, number, reader.line_num)
        if header is None:
            raise FileError(f"is empty: the first line of CSV names its columns, {', '.join(self._required)}")

    def _not_csv(self, problem: csv.Error) -> str:
        is_open = str(problem) == "unexpected end of data"
        return "a quote that opens here is never closed" if is_open else f"is not CSV ({problem})"

    def _checked(self, given: list[str], line: int) -> list[str]:
        header = [name.strip().casefold() for name in given]
        if not all(map(_is_text, header)):
            raise FileError(_NOT_UTF_8)
        if (self._known or set(self._required)).isdisjoint(header):
            names = ", ".join(self._required)
            raise FileError(f"line {line}: the header is missing: the first line names the columns, {names}")
        if unknown := self._unknown_of(header):
            raise FileError(f"line {line}: {unknown}")
        if missing := [name for name in self._required if name not in header]:
            raise FileError(f"line {line}: the header lacks {', '.join(missing)}")
        if len(set(header)) < len(header):
            raise FileError(f"line {line}: the header has a column twice")
        return header

    def _unknown_of(self, names: Iterable[str]) -> str:
        """What is wrong with the names of columns, empty if all are known."""
        if self._known is None or not (unknown := set(names) - self._known):
            return ""
        listed = ", ".join(repr(name[:40]) for name in sorted(unknown))
        return f"unknown column {listed}; the known columns are {', '.join(sorted(self._known))}"


def json_object(text: bytes, line: int, last_line: int) -> Record | Rejection:
    """The JSON object of some lines, or the reason why they are none."""
    try:
        row: Row | list[Any] | str | float | None = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Rejection(line, "is not JSON" if _is_utf_8(text) else _NOT_UTF_8, last_line)
    if not isinstance(row, dict):
        return Rejection(line, "is not a JSON object", last_line)
    return Record(line, last_line, row)


def _row(values: list[str], header: list[str], line: int, last_line: int) -> Record | Rejection:
    if not all(map(_is_text, values)):
        return Rejection(line, _NOT_UTF_8, last_line)
    if len(values) != len(header):
        return Rejection(line, f"has {len(values)} values for {len(header)} columns", last_line)
    cells = {name: _value(cell) for name, cell in zip(header, values, strict=True)}
    return Record(line, last_line, cells)


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


def _encoding_of(head: bytes) -> str | None:
    """Return the name of a file's encoding if its first bytes show another one than UTF-8."""
    for mark, name in _ENCODINGS.items():
        if head.startswith(mark):
            return name
    # Without a mark, every other byte of Latin text in UTF-16 is a NUL.
    return "UTF-16" if head[:4].count(0) == 2 else None  # noqa: PLR2004 - of the first four


def _separator_of(head: bytes) -> str | None:
    """Return how the header separates its columns, unless it does so by commas."""
    header = head.removeprefix(_BOM).lstrip().splitlines()[:1]
    if not header or b"," in header[0]:
        return None
    return next((name for separator, name in _SEPARATORS.items() if separator in header[0]), None)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_text(cell: str) -> bool:
    """Whether no byte of the cell was outside UTF-8."""
    return cell.isascii() or not any("\udc80" <= character <= "\udcff" for character in cell)
