"""A real NATS with JetStream beside the server, for a machine on which nothing is installed or configured."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.nats_process import LET_GO_SECONDS, NatsProcess, within
from hoc.embedded.service import EmbeddedServiceError, free_port

_PASSWORD_FILE: Final = "nats-password"  # noqa: S105 - the name of a file, not a password
_START_SECONDS: Final = 300  # large streams are read through after a crash
_PROBE_SECONDS: Final = 10
_TRIES: Final = 3  # a free port may be taken before nats-server has it
_QUOTED_LINES: Final = 5


class EmbeddedNats:
    """A nats-server with its data in a data directory, listening on a loopback port that it keeps.

    Files are in `<data directory>/nats`, the generated password in `<data directory>/nats-password` (0600).
    The port is chosen at the first start and changes only when something else has taken it. It runs as the
    caller, as root too: unlike PostgreSQL it does not refuse that, and it runs nothing that clients send it.

    JetStream syncs every message to disk before it acknowledges it. A nats-server that outlived its owner is
    taken over, or, if it does not answer, restarted.
    """

    def __init__(
        self, data_directory: DataDirectory, progress: Callable[[str], None] = lambda _step: None
    ) -> None:
        """Describe the server: where it lives, and what to call with one line before each step."""
        self._data = data_directory
        self._progress = progress
        self._process = NatsProcess(data_directory.path / "nats")
        self._held: ExitStack | None = None

    def __enter__(self) -> Self:
        """Start it; `running_url` is where."""
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> str:
        """Bring NATS up, hold the data directory's lock, return the URL (password included).

        Called again, it brings a nats-server that died back up at the same URL. Keep the object: the lock
        goes with it.

        Raises:
            DataDirectoryInUseError: another server has this data directory.
            DataDirectoryError: the data directory cannot be written.
            EmbeddedServiceError: nats-server is not installed or does not start.
        """
        if self._held is not None:
            return self._bring_up()
        with ExitStack() as held:
            held.enter_context(self._data.lock())
            self._process.directory.mkdir(mode=0o700, exist_ok=True)
            url = self._bring_up()
            self._held = held.pop_all()
        return url

    def stop(self) -> None:
        """Stop what `start` started or took over, cleanly, and let go of the data directory."""
        held, self._held = self._held, None
        if held is not None:
            with held:
                self._process.stop()

    def is_running(self) -> bool:
        """Whether nats-server runs on this data directory, whoever started it."""
        return self._process.is_running()

    def running_url(self) -> str | None:
        """Return NATS's URL if it runs on this data directory, whoever started it."""
        port = self._kept_port()
        return self._url(port) if port is not None and self.is_running() else None

    def _url(self, port: int) -> str:
        return f"nats://hoc:{self._data.secret(_PASSWORD_FILE)}@127.0.0.1:{port}"

    def _bring_up(self) -> str:
        return self._url(self._adopt() or self._launch())

    def _adopt(self) -> int | None:
        """Return the port of a nats-server that runs here already; stop one that does not answer."""
        if not self.is_running():
            return None
        port = self._kept_port()
        if port is not None and self._answers(port):
            if self._held is None:
                self._progress("Taking over the NATS that is still running")
            return port
        self._progress("Stopping a NATS that no longer answers")
        self._process.stop()
        return None

    def _launch(self) -> int:
        self._progress("Starting NATS")
        for _ in range(_TRIES):
            port = self._free_port()
            if self._start_once(port):
                return port
        said = self._process.log.read_text(errors="replace").splitlines()[-_QUOTED_LINES:]
        raise EmbeddedServiceError(
            "\n".join(("The embedded NATS does not start:", *said, f"Its log is {self._process.log}."))
            + " Mend that, or set HOC_NATS_URL to a NATS of your own."
        )

    def _start_once(self, port: int) -> bool:
        """Start the server; whether it came up."""
        self._process.launch(
            {
                "host": "127.0.0.1",
                "port": port,
                "authorization": {"user": "hoc", "password": self._data.secret(_PASSWORD_FILE)},
                "jetstream": {
                    "store_dir": str(self._process.directory),
                    # Otherwise what was acknowledged is not on the disk for up to two minutes.
                    "sync_interval": "always",
                },
            }
        )
        decided = within(_START_SECONDS, lambda: self._answers(port) or not self.is_running())
        if decided and self.is_running():
            return True
        self._process.stop()
        return False

    def _free_port(self) -> int:
        kept = self._kept_port()
        if kept is None:
            return free_port()
        if within(LET_GO_SECONDS, lambda: _is_free(kept)):
            return kept
        self._progress(f"Port {kept}, which NATS had, is taken: it moves to another")
        return free_port()

    def _kept_port(self) -> int | None:
        try:
            return int(json.loads(self._process.config.read_text())["port"])
        except (OSError, ValueError, KeyError):
            return None

    def _answers(self, port: int) -> bool:
        """Whether JetStream answers whoever has the password, asked in the protocol's own lines."""
        login = json.dumps({"user": "hoc", "pass": self._data.secret(_PASSWORD_FILE), "verbose": False})
        question = f"CONNECT {login}\r\nSUB answer 1\r\nPUB $JS.API.INFO answer 0\r\n\r\n"
        try:
            with (
                socket.create_connection(("127.0.0.1", port), _PROBE_SECONDS) as connection,
                connection.makefile("r") as lines,
            ):
                connection.sendall(question.encode())
                answered = any(line.startswith("MSG answer ") for line in lines)
                return answered and '"error"' not in next(lines, '"error"')
        except (OSError, ValueError):
            return False


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
