"""A real SMTP server for tests: `with smtp_server() as server: … server.url … server.messages()`."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from support.stopping import stop

if TYPE_CHECKING:
    from collections.abc import Generator

Command = Literal["MAIL", "RCPT", "DATA"]


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that the server accepted."""

    sender: str
    recipients: list[str]
    options: list[str]
    """The options of the MAIL command, such as SMTPUTF8."""
    content: bytes
    tls: bool
    user: str | None
    """The authenticated user."""

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, EmailMessage, policy=policy.SMTPUTF8)


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections there were, and are."""

    opened: int = 0
    open: int = 0
    most: int = 0
    """At the same time."""
    refused: int = 0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A running server, which can be made to fail."""

    url: str
    """It contains the credentials that the server requires."""
    _directory: Path
    _process: subprocess.Popen[str]
    _faults: dict[str, Any] = field(default_factory=lambda: {"replies": {}, "delay": 0})

    def messages(self) -> list[ReceivedMail]:
        """Return the accepted mails in order. A mail is stored before its sender gets 250."""
        records: list[dict[str, Any]] = [
            json.loads(path.read_text()) for path in sorted(self._directory.glob("*.json"))
        ]
        return [ReceivedMail(content=base64.b64decode(record.pop("content")), **record) for record in records]

    def connections(self) -> Connections:
        try:
            return Connections(**json.loads((self._directory / "connections").read_text()))
        except FileNotFoundError:
            return Connections()

    def refuse(self, command: Command, reply: str) -> None:
        """Answer this command with reply, such as "451 4.3.0 Try later", until `recover`."""
        self._faults["replies"][command] = reply
        self._write_faults()

    def delay(self, seconds: float) -> None:
        """Delay each answer to EHLO, MAIL, RCPT and DATA, until `recover`."""
        self._faults["delay"] = seconds
        self._write_faults()

    def limit(self, *, connections: int | None = None, mails: int | None = None) -> None:
        """Answer 421 to a further connection, or to a further mail on one, until `recover`."""
        self._faults.update(limit=connections, mails=mails)
        self._write_faults()

    def hang(self, *addresses: str) -> None:
        """Leave RCPT of these addresses without an answer, until `recover`."""
        self._faults["hang"] = addresses
        self._write_faults()

    def hang_up(self) -> None:
        """Close every connection."""
        self._process.send_signal(signal.SIGUSR1)

    def recover(self) -> None:
        """End the effects of `refuse`, `delay`, `limit` and `hang`."""
        self._faults.update(replies={}, delay=0, limit=None, mails=None, hang=())
        self._write_faults()

    def freeze(self) -> None:
        """Stop the process. The kernel still accepts connections, which get no answer."""
        stop(self._process)

    def thaw(self) -> None:
        """End the effect of `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process. From now on its port refuses connections."""
        self._process.kill()
        self._process.wait()

    def _write_faults(self) -> None:
        new = self._directory / "faults.new"
        new.write_text(json.dumps(self._faults))
        new.rename(self._directory / "faults")


@contextmanager
def smtp_server(
    *,
    credentials: tuple[str, str] | None = None,
    certificate: Path | None = None,
    implicit_tls: bool = False,
    smtputf8: bool = True,
) -> Generator[SmtpServer]:
    """Run an SMTP server on a free port of 127.0.0.1.

    ``credentials``: the required user and password. ``certificate``: a PEM file with key and certificate, for
    STARTTLS, or for TLS from the start with ``implicit_tls``.
    """
    environment = dict(os.environ)
    if credentials:
        environment.update(SMTP_USER=credentials[0], SMTP_PASSWORD=credentials[1])
    options = [
        *(["--certificate", str(certificate)] if certificate else []),
        *(["--implicit-tls"] if implicit_tls else []),
        *([] if smtputf8 else ["--ascii-only"]),
    ]
    with TemporaryDirectory(prefix="smtp-") as name:
        directory = Path(name)
        script = Path(__file__).with_name("smtp_process.py")
        with (directory / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(script), name, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
            )
        with process:
            try:
                assert process.stdout
                port = process.stdout.readline().strip()
                assert port, f"the SMTP server did not start:\n{(directory / 'stderr').read_text()}"
                scheme = "smtps" if implicit_tls else "smtp"
                login = ":".join(quote(part, safe="") for part in credentials) + "@" if credentials else ""
                yield SmtpServer(f"{scheme}://{login}127.0.0.1:{port}", directory, process)
            finally:
                process.kill()
