"""A command's output: what cannot be written ends the command with one line, a closed pipe quietly."""

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from hoc.cli.errors import ClosedPipeError, OutputError

_STANDARD_OUTPUT: Final = 1


class Output(io.FileIO):
    """An open file, written without a buffer.

    `write` raises OutputError, and ClosedPipeError when the reader has gone. They are no OSErrors, so that
    nobody takes them for errors of a connection.
    """

    def __init__(self, descriptor: int, label: str, *, closes: bool = True) -> None:
        super().__init__(descriptor, "wb", closefd=closes)
        self._label = label

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]  # noqa: ANN401 - any buffer
        try:
            return super().write(data)
        except OSError as problem:
            raise self._failed(problem) from problem

    def close(self) -> None:
        try:
            super().close()
        except OSError as problem:  # a file system over a network may notice only now that it is full
            raise self._failed(problem) from problem

    def _failed(self, problem: OSError) -> OutputError:
        kind = ClosedPipeError if problem.errno == errno.EPIPE else OutputError
        return kind(f"{self._label} cannot be written: {problem.strerror}.")


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """A file that appears at ``path`` once the block has ended without an error. Raises OutputError.

    A device or a pipe is written in place.
    """
    if path.exists() and not path.is_file():
        with opened(path) as file:
            yield file
        return
    path = path.resolve()  # a link stays a link
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with opened(unfinished, path) as file:
            yield file
            file.flush()
            with _output_errors(path):
                os.fsync(file.fileno())
        with _output_errors(path):
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def opened(path: Path, shown: Path | None = None) -> BinaryIO:
    """Open a file for writing. It holds personal data, so other users must not read it."""
    with _output_errors(shown or path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return io.BufferedWriter(Output(descriptor, str(shown or path)))


@contextmanager
def _output_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as problem:
        raise OutputError(f"{path} cannot be written: {problem.strerror}.") from problem


def guard_standard_output() -> None:
    """Have everything that is printed raise the errors of `Output`."""
    if sys.stdout is not None:  # it is closed in `hoc … >&-`
        raw = Output(_STANDARD_OUTPUT, "standard output", closes=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.isatty(),
        )


def discard_standard_output() -> None:
    """Drop what is not yet written, which Python would try to write again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)
