"""The objects of an array within a JSON document, read one by one: the document may be larger than memory."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hoc.bulk.files import FileError, Record, Rejection, json_object

MAX_OBJECT: Final = 4 * 1024 * 1024
"""Bytes of one object: more are no user, but a document that is not closed where it should be."""
_CHUNK: Final = 65_536
_STRUCTURE: Final = re.compile(rb'["\\{}\[\]\n]')
_IN_ARRAY: Final = 2


class JsonArray:
    """Iterates over the objects of the array ``key`` of the document's outermost object, with their lines.

    Raises FileError if the file has no such array, or ends within it.
    """

    def __init__(self, file: io.BufferedReader, key: str) -> None:
        self._file = file
        self._key = key
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Record | Rejection]:
        scan = _Scan(self._key.encode())
        while chunk := self._file.read(_CHUNK):
            self.bytes_read += len(chunk)
            yield from scan.objects(chunk)
            if scan.is_done:
                return
        raise FileError(
            f"ends within {self._key!r}"
            if scan.is_in_array
            else f"has no array {self._key!r} in its outermost object"
        )


@dataclass(slots=True)
class _Start:
    """Where an object begins in the bytes that are kept, and on which line."""

    at: int
    line: int


@dataclass(slots=True)
class _Scan:
    """How far a document is read. ``kept`` are its bytes from where the open object or text begins."""

    key: bytes
    kept: bytes = b""
    line: int = 1
    depth: int = 0
    text_at: int | None = None
    escaped_at: int = -1
    last_text: bytes = b""
    is_in_array: bool = False
    is_done: bool = False
    start: _Start | None = None

    def objects(self, chunk: bytes) -> Iterator[Record | Rejection]:
        """The objects of the array that end in the document's next bytes."""
        begin = len(self.kept)
        self.kept += chunk
        for found in _STRUCTURE.finditer(self.kept, begin):
            at, sign = found.start(), found[0]
            if sign == b"\n":
                self.line += 1
            elif self.text_at is not None:
                self._read_text(self.text_at, at, sign)
            elif sign == b'"':
                self.text_at = at
            elif sign in b"{[":
                self._open(at, sign)
            elif sign in b"}]":
                if (start := self._close()) is not None:
                    yield json_object(self.kept[start.at : at + 1], start.line, self.line)
                if self.is_done:
                    return
        self._forget()

    def _read_text(self, text_at: int, at: int, sign: bytes) -> None:
        if at == self.escaped_at:
            return
        if sign == b"\\":
            self.escaped_at = at + 1
        elif sign == b'"':
            self.last_text, self.text_at = self.kept[text_at + 1 : at], None

    def _open(self, at: int, sign: bytes) -> None:
        if self.depth == 1 and sign == b"[" and self.last_text == self.key:
            self.is_in_array = True
        self.depth += 1
        if self.is_in_array and sign == b"{" and self.depth == _IN_ARRAY + 1:
            self.start = _Start(at, self.line)

    def _close(self) -> _Start | None:
        """Where the object of the array begins that ends here, None if none ends."""
        self.depth -= 1
        self.is_done = self.is_in_array and self.depth < _IN_ARRAY
        if self.depth != _IN_ARRAY:
            return None
        start, self.start = self.start, None
        return start

    def _forget(self) -> None:
        """Keep only what is still open."""
        end = len(self.kept)
        first = min(
            end if self.start is None else self.start.at, end if self.text_at is None else self.text_at
        )
        self.kept = self.kept[first:]
        self.escaped_at -= first
        if self.start is not None:
            self.start.at -= first
        if self.text_at is not None:
            self.text_at -= first
        if len(self.kept) > MAX_OBJECT:
            raise FileError(f"line {self.line}: an object or a text that begins before is never closed")
