"""Runs programs in copies of a process that has loaded hoc; imports take most of a new process's time."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Final

import uvicorn

from hoc.cli import main

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("hoc.cli.commands", "hoc.cli.serve", "hoc.cli.doctor", "hoc.cli.bulk", "hoc.server.app"),
        *("hoc.scim.app", "hoc.testing", "uvicorn.main"),
    ]
)


def run(
    arguments: Sequence[str], variables: Mapping[str, str], *, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `hoc` with these variables and nothing on standard input, and wait for its end.

    Raises:
        subprocess.TimeoutExpired: it took too long, and has been killed.
    """
    return _run(_command, arguments, variables, timeout_seconds)


def run_program(
    code: str, directory: Path, variables: Mapping[str, str], *, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a program as `python -W error -c` does in a directory. It raises as `run`."""
    return _run(_program, [code, os.fspath(directory)], variables, timeout_seconds)


def start_uvicorn(
    options: Sequence[str], variables: Mapping[str, str], log: Path, *, copied: bool
) -> BaseProcess:
    """Start `uvicorn` in a process that prints into a file; if not ``copied``, a new one."""
    start = _CONTEXT.Process if copied else multiprocessing.get_context("spawn").Process
    process = start(target=_in_place, args=(_uvicorn, options, dict(variables), log, log))
    process.start()
    return process


def _run(
    target: Callable[[Sequence[str]], None],
    arguments: Sequence[str],
    variables: Mapping[str, str],
    timeout_seconds: float,
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        process = _CONTEXT.Process(target=_in_place, args=(target, arguments, dict(variables), out, err))
        process.start()
        process.join(timeout_seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(
                list(arguments), timeout_seconds, out.read_text(), err.read_text()
            )
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _in_place(
    target: Callable[[Sequence[str]], None],
    arguments: Sequence[str],
    variables: dict[str, str],
    out: Path,
    err: Path,
) -> None:
    for number, path in enumerate((out, err), start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(variables)
    target(arguments)


def _command(arguments: Sequence[str]) -> None:
    sys.argv = ["hoc", *arguments]
    main()


def _program(arguments: Sequence[str]) -> None:
    code, directory = arguments
    os.chdir(directory)
    warnings.simplefilter("error")
    sys.modules["__main__"] = module = ModuleType("__main__")
    exec(compile(code, "<string>", "exec", dont_inherit=True), module.__dict__)


def _uvicorn(options: Sequence[str]) -> None:
    uvicorn.main(list(options), prog_name="uvicorn")
