"""The targets to kill: the two embedded services, and hoc's processes, all on this machine."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import psutil
from pulse import Pulse

from hoc.embedded import EmbeddedNats, EmbeddedPostgres

HOC: Final = Path(sys.executable).with_name("hoc")
_POLL_SECONDS: Final = 0.005
_PAUSE_SECONDS: Final = 0.2


class Target(Protocol):
    """``pulse`` beats whenever something that needs the target succeeds."""

    @property
    def name(self) -> str: ...

    @property
    def pulse(self) -> Pulse: ...

    async def crash(self) -> None:
        """Kill it without warning. Returns once it has ended."""
        ...

    async def restore(self) -> None:
        """Restart it, unless something else does."""
        ...


class Service:
    """An embedded service of this process, killed by ``number``."""

    def __init__(
        self,
        name: str,
        embedded: EmbeddedPostgres | EmbeddedNats,
        pid_file: Path,
        number: signal.Signals,
        pulse: Pulse,
    ) -> None:
        self.name = name
        self.pulse = pulse
        self._embedded = embedded
        self._pid_file = pid_file
        self._signal = number

    async def crash(self) -> None:
        process = psutil.Process(int(self._pid_file.read_text().splitlines()[0]))
        process.send_signal(self._signal)
        await asyncio.to_thread(_await_end, process)

    async def restore(self) -> None:
        await asyncio.to_thread(self._embedded.start)


class Program:
    """A command of hoc that is restarted whenever it ends, as by a service manager."""

    def __init__(
        self, name: str, *arguments: str | Path, environment: dict[str, str], log: Path, pulse: Pulse
    ) -> None:
        self.name = name
        self.pulse = pulse
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._is_up = asyncio.Event()

    async def run(self) -> None:
        """Keep it running until cancelled. Then kill it and its children."""
        try:
            while True:
                await self._start()
                await self._ended()
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._kill()
            await self._ended()

    async def crash(self) -> None:
        """Kill it and its workers by SIGKILL."""
        await self._is_up.wait()
        self._kill()
        await self._ended()

    async def restore(self) -> None:
        """`run` restarts it."""

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                HOC,
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._is_up.set()

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()
            self._is_up.clear()


class Server(Program):
    """`hoc serve` on a fixed port."""

    def __init__(
        self,
        name: str,
        port: int,
        *arguments: str | Path,
        environment: dict[str, str],
        log: Path,
    ) -> None:
        super().__init__(
            name,
            *("serve", "--port", str(port)),
            *arguments,
            environment=environment,
            log=log,
            pulse=Pulse(),
        )
        self.url = f"http://127.0.0.1:{port}"


def _await_end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_POLL_SECONDS)
