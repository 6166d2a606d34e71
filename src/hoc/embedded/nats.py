"""The embedded NATS: nats-server with JetStream, for a machine without one."""

import json
import socket
from collections.abc import Callable
from typing import Final

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.nats_process import RELEASE_SECONDS, NatsProcess, within
from hoc.embedded.service import EmbeddedService, EmbeddedServiceError, free_port

_PASSWORD_FILE: Final = "nats-password"  # noqa: S105 - the name of a file, not a password
_START_SECONDS: Final = 300  # after a crash nats-server reads through large streams
_PROBE_SECONDS: Final = 10
_TRIES: Final = 3  # another program may take the port before nats-server does
_QUOTED_LINES: Final = 5


class EmbeddedNats(EmbeddedService):
    """A nats-server that syncs every message to disk before it acknowledges the message.

    In the data directory, its files are in `nats`, its generated password in `nats-password` (0600). It runs
    as the caller, also as root, because it executes nothing that clients send. The first start chooses the
    port, which changes only when another program has taken it.
    """

    def __init__(
        self, data_directory: DataDirectory, progress: Callable[[str], None] = lambda _step: None
    ) -> None:
        super().__init__(data_directory, progress)
        self._process = NatsProcess(data_directory.path / "nats")

    def is_running(self) -> bool:
        return self._process.is_running()

    def running_url(self) -> str | None:
        port = self._kept_port()
        return self._url(port) if port is not None and self.is_running() else None

    def _url(self, port: int) -> str:
        return f"nats://hoc:{self._data.secret(_PASSWORD_FILE)}@127.0.0.1:{port}"

    def _bring_up(self) -> str:
        self._process.directory.mkdir(mode=0o700, exist_ok=True)
        return self._url(self._take_over() or self._launch())

    def _shut_down(self) -> None:
        self._process.stop()

    def _take_over(self) -> int | None:
        """Return the port of the nats-server that runs already, or None. Stop one that does not answer."""
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
            port = self._choose_port()
            if self._start_once(port):
                return port
        last_lines = self._process.log.read_text(errors="replace").splitlines()[-_QUOTED_LINES:]
        raise EmbeddedServiceError(
            "\n".join(("The embedded NATS does not start:", *last_lines, f"Its log is {self._process.log}."))
            + " Correct the cause, or set HOC_NATS_URL to another NATS."
        )

    def _start_once(self, port: int) -> bool:
        """Start the server. Returns whether it answers."""
        self._process.launch(
            {
                "host": "127.0.0.1",
                "port": port,
                "authorization": {"user": "hoc", "password": self._data.secret(_PASSWORD_FILE)},
                "jetstream": {
                    "store_dir": str(self._process.directory),
                    # By default an acknowledged message may be off the disk for two minutes.
                    "sync_interval": "always",
                },
            }
        )
        decided = within(_START_SECONDS, lambda: self._answers(port) or not self.is_running())
        if decided and self.is_running():
            return True
        self._process.stop()
        return False

    def _choose_port(self) -> int:
        kept = self._kept_port()
        if kept is None:
            return free_port()
        if within(RELEASE_SECONDS, lambda: _is_free(kept)):
            return kept
        self._progress(f"Port {kept}, which NATS had, is taken: it moves to another")
        return free_port()

    def _kept_port(self) -> int | None:
        try:
            return int(json.loads(self._process.config.read_text())["port"])
        except (OSError, ValueError, KeyError):
            return None

    def _answers(self, port: int) -> bool:
        """Whether JetStream answers a client that has the password."""
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
