"""Runs `hoc` in a copy of a process that has loaded it; of a new process, imports take most of the time."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hoc.cli import main

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["hoc.cli.commands", "hoc.cli.serve", "hoc.cli.doctor", "hoc.cli.bulk", "hoc.server.app"]
)


def run(
    arguments: Sequence[str], variables: Mapping[str, str], *, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables and nothing on standard input, and wait for its end.

    Raises:
        subprocess.TimeoutExpired: it took too long, and has been killed.
    """
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        process = _CONTEXT.Process(target=_command, args=(arguments, dict(variables), out, err))
        process.start()
        process.join(timeout_seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(
                list(arguments), timeout_seconds, out.read_text(), err.read_text()
            )
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _command(arguments: Sequence[str], variables: dict[str, str], out: Path, err: Path) -> None:
    for number, path in enumerate((out, err), start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["hoc", *arguments]
    main()
