"""An SMTP server in a process of its own, started by `support.smtp`: prints its port, ends with its stdin."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import ssl
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Recorder:
    """Stores each accepted mail as a JSON file, and fails as the file "faults" says."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()

    async def handle_EHLO(  # noqa: N802 - the hook names are aiosmtpd's
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        await self._fault("EHLO")
        return responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := await self._fault("MAIL"):
            return fault
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if fault := await self._fault("RCPT"):
            return fault
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
        path = self._directory / f"{next(self._numbers):06}.json"
        path.with_suffix(".tmp").write_text(json.dumps(record))
        path.with_suffix(".tmp").rename(path)
        return "250 OK"

    async def _fault(self, command: str) -> str | None:
        with suppress(FileNotFoundError):
            faults: dict[str, Any] = json.loads((self._directory / "faults").read_text())
            await asyncio.sleep(faults["delay"])
            reply: str | None = faults["replies"].get(command)
            return reply
        return None


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
        return SMTP(
            recorder,
            enable_SMTPUTF8=not options.ascii_only,
            tls_context=None if options.implicit_tls else context,
            auth_required="SMTP_USER" in os.environ,
            auth_require_tls=False,
            authenticator=authenticate,
            hostname="localhost",
        )

    loop = asyncio.get_running_loop()
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
