"""An SMTP server in a process of its own, started by `support.smtp`: prints its port, ends with its stdin."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import ssl
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Recorder:
    """Stores each accepted mail as a JSON file, counts connections, and fails as the file "faults" says."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()
        self._connections: set[SMTP] = set()
        self._counts = {"opened": 0, "open": 0, "most": 0, "refused": 0}

    def opened(self, connection: SMTP) -> bool:
        """Count a connection. False: the server takes no more."""
        if connection not in self._connections:  # STARTTLS makes one anew
            limit = self._faults().get("limit")
            if limit is not None and len(self._connections) >= limit:
                self._counts["refused"] += 1
                self._write_counts()
                return False
            self._connections.add(connection)
            self._counts["opened"] += 1
            self._write_counts()
        return True

    def lost(self, connection: SMTP) -> None:
        self._connections.discard(connection)
        self._write_counts()

    def hang_up(self) -> None:
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.close()

    def _write_counts(self) -> None:
        self._counts["open"] = len(self._connections)
        self._counts["most"] = max(self._counts["most"], self._counts["open"])
        self._write("connections", json.dumps(self._counts))

    def _write(self, name: str, content: str) -> None:
        path = self._directory / name
        path.with_suffix(".tmp").write_text(content)
        path.with_suffix(".tmp").rename(path)

    async def handle_EHLO(  # noqa: N802 - the hook names are aiosmtpd's
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        await self._fault("EHLO")
        return responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := await self._fault("MAIL"):
            return fault
        most = self._faults().get("mails")
        if most is not None and vars(session).get("mails", 0) >= most:
            return "421 4.7.0 Too many mails on this connection"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if fault := await self._fault("RCPT"):
            return fault
        while address in self._faults().get("hang", ()):  # noqa: ASYNC110 - asyncio has no event for a file
            await asyncio.sleep(0.01)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if fault := await self._fault("DATA"):
            return fault
        content = envelope.original_content or b""
        record = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "content": base64.b64encode(content).decode(),
            "tls": server.transport is not None and server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data,
        }
        self._write(f"{next(self._numbers):06}.json", json.dumps(record))
        vars(session)["mails"] = vars(session).get("mails", 0) + 1
        return "250 OK"

    async def _fault(self, command: str) -> str | None:
        faults = self._faults()
        await asyncio.sleep(faults.get("delay", 0))
        reply: str | None = faults.get("replies", {}).get(command)
        return reply

    def _faults(self) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            faults: dict[str, Any] = json.loads((self._directory / "faults").read_text())
            return faults
        return {}


class Connection(SMTP):
    """A connection that the recorder counts."""

    recorder: Recorder

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.recorder.opened(self):
            super().connection_made(transport)
        else:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            super().connection_lost(error)
        self.recorder.lost(self)


async def serve(options: argparse.Namespace) -> None:
    recorder = Recorder(options.directory)
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)

    def authenticate(*arguments: object) -> AuthResult:
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        expected = (os.environ.get("SMTP_USER"), os.environ.get("SMTP_PASSWORD"))
        success = (given.login.decode(), given.password.decode()) == expected
        return AuthResult(success=success, handled=False, auth_data=given.login.decode())

    def connection() -> SMTP:
        made = Connection(
            recorder,
            enable_SMTPUTF8=not options.ascii_only,
            tls_context=None if options.implicit_tls else context,
            auth_required="SMTP_USER" in os.environ,
            auth_require_tls=False,
            authenticator=authenticate,
            hostname="localhost",
        )
        made.recorder = recorder
        return made

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, recorder.hang_up)
    tls = context if options.implicit_tls else None
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # its end means that the starting process has ended
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--certificate")
    parser.add_argument("--implicit-tls", action="store_true")
    parser.add_argument("--ascii-only", action="store_true")
    asyncio.run(serve(parser.parse_args()))
