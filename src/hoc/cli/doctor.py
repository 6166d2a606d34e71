"""`hoc doctor`: what is wrong with settings, database, events, mail and NATS, and what to do about it."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.configuration import (
    check_application,
    is_development,
    load_settings,
    reveal,
    running_database,
    running_nats,
)
from hoc.cli.doctor_pooler import pooler_findings
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.findings import Finding, State
from hoc.cli.replica_check import replica_state
from hoc.cus.account.L6_drivers.event_partitions import LAST_COVERED, MAY_CREATE
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.L6_drivers.grants import MISSING_GRANTS
from hoc.cus.account.L6_drivers.tables import EXTENSIONS
from hoc.cus.account.wiring import open_database
from hoc.database import create_engine
from hoc.embedded import DataDirectory
from hoc.mail.sender import MailError
from hoc.readiness import Readiness
from hoc.settings import Settings

_OLDEST_VERSION: Final = 150_000
_CLOCK_SECONDS: Final = 5.0
_BACKLOG_SECONDS: Final = 60.0
_AHEAD: Final = timedelta(days=45)
_TIMEOUT_SECONDS: Final = 10.0

_SERVER: Final = text(
    "SELECT current_setting('server_version') AS version,"
    " CAST(current_setting('server_version_num') AS integer) AS number,"
    " ARRAY(SELECT CAST(extname AS text) FROM pg_extension) AS extensions,"
    " clock_timestamp() AS now"
)


def examine(data: DataDirectory) -> list[dict[str, str]]:
    """Return `check`, `state` and `detail` of each check.

    Checks that depend on a failed one are left out.
    """
    logging.disable()  # the findings say it
    try:
        settings = load_settings()
        check_application(settings)
        url, nats_url = running_database(settings, data), running_nats(settings, data)
        findings = asyncio.run(_examine(settings, url, nats_url))
    except CommandError as problem:
        findings = [Finding("settings", "wrong", str(problem))]
    finally:
        logging.disable(logging.NOTSET)
    return [asdict(finding) for finding in findings]


def readable(findings: list[dict[str, str]]) -> str:
    """Return the findings as text for people, a line for each."""
    return "\n".join(f"{each['state']:8} {each['check']:12} {each['detail']}" for each in findings)


async def _examine(settings: Settings, url: str | None, nats_url: str | None) -> list[Finding]:
    mode = (
        "development mode: hoc signs its own tokens, on loopback only"
        if is_development(settings)
        else "callers are authenticated as configured"
    )
    findings = [Finding("settings", "ok", mode)]
    findings += [found async for found in _database_findings(settings, url)]
    if (replica_url := reveal(settings.database_replica_url)) is not None and url is not None:
        findings.append(await _replica_finding(url, replica_url))
    findings.append(await _mail_finding(settings))
    findings.append(await _nats_finding(settings, nats_url))
    return findings


async def _database_findings(settings: Settings, url: str | None) -> AsyncGenerator[Finding, None]:
    if url is None:
        yield Finding("database", "wrong", "none is running: set HOC_DATABASE_URL, or start `hoc serve`")
        return
    pooler = settings.pooler if settings.database_url else None
    engine = create_engine(url, pooled=False, connect_timeout=_TIMEOUT_SECONDS, pooler=pooler)
    try:
        with database_errors(url):
            async with engine.connect() as connection:
                for found in await _server_findings(connection):
                    yield found
                if pooler == "transaction":
                    for found in await pooler_findings(connection, reveal(settings.listen_database_url)):
                        yield found
    except CommandError as problem:
        yield Finding("database", "wrong", f"{problem} Check HOC_DATABASE_URL.")
        return
    finally:
        await engine.dispose()
    database = open_database(url, pool_size=2, pooler=pooler)
    try:
        reason = await Readiness(database).check()
        yield (
            Finding("schema", "ok", "the database is ready")
            if reason is None
            else Finding("schema", "wrong", reason)
        )
        if reason is not None and "has not been migrated" in reason:
            return
        with database_errors(url):
            async with database.transaction() as session:
                for found in await _table_findings(session):
                    yield found
    except CommandError as problem:
        yield Finding("tables", "wrong", str(problem))
    finally:
        await database.close()


async def _server_findings(connection: AsyncConnection) -> list[Finding]:
    asked = datetime.now(UTC)
    server = (await connection.execute(_SERVER)).one()
    skew = abs((server.now - asked).total_seconds())
    version = f"PostgreSQL {server.version}"
    return [
        Finding("database", "ok", version)
        if server.number >= _OLDEST_VERSION
        else Finding("database", "wrong", f"{version} is too old: hoc needs PostgreSQL 15 or later"),
        *(
            Finding("extension", "ok", f"{name} is installed")
            if name in server.extensions
            else Finding("extension", "wrong", f"{name} is missing: run CREATE EXTENSION {name}")
            for name in EXTENSIONS
        ),
        Finding("clock", "ok", "agrees with the database's")
        if skew < _CLOCK_SECONDS
        else Finding("clock", "wrong", f"is {skew:.0f} s off the database's: synchronise both (NTP)"),
    ]


async def _table_findings(session: AsyncConnection) -> list[Finding]:
    missing = (await session.execute(MISSING_GRANTS)).scalars().all()
    may_create = await session.scalar(MAY_CREATE)
    until: datetime | None = await session.scalar(LAST_COVERED)
    backlog = await SqlEventSequencing().status(session)
    waits = (datetime.now(UTC) - backlog.oldest).total_seconds() if backlog.oldest else 0.0
    return [
        Finding("grants", "wrong", f"the role lacks {', '.join(missing)}: run the SQL of `hoc grants`")
        if missing
        else Finding("grants", "ok", "the role may read and write every table"),
        _partitions(until, may_create=bool(may_create)),
        Finding(
            "events",
            "warning",
            f"{backlog.unpublished} are not published, the oldest for {waits:.0f} s: is a server or"
            " `hoc relay` running, and NATS reachable?",
        )
        if waits > _BACKLOG_SECONDS
        else Finding("events", "ok", f"{backlog.unpublished} are not published yet"),
        Finding("parked", "warning", f"{backlog.dead} events are parked: see `hoc events parked`")
        if backlog.dead
        else Finding("parked", "ok", "no event is parked"),
    ]


def _partitions(until: datetime | None, *, may_create: bool) -> Finding:
    now = datetime.now(UTC)
    if until is None or until <= now:
        return Finding("partitions", "wrong", "none for this month: run `hoc migrate` as the tables' owner")
    if until - now < _AHEAD and not may_create:
        return Finding(
            "partitions", "warning", f"they end on {until:%Y-%m-%d}: run `hoc migrate` as the tables' owner"
        )
    return Finding("partitions", "ok", f"exist until {until:%Y-%m-%d}")


async def _replica_finding(url: str, replica_url: str) -> Finding:
    try:
        is_fit, state = await replica_state(url, replica_url, connect_timeout=_TIMEOUT_SECONDS)
    except CommandError as problem:
        return Finding("replica", "wrong", str(problem))
    return Finding("replica", "ok" if is_fit else "wrong", state)


async def _mail_finding(settings: Settings) -> Finding:
    url = reveal(settings.smtp_url)
    if url is None:
        state: State = "ok" if is_development(settings) else "warning"
        return Finding("mail", state, "goes to the development mailbox: set HOC_SMTP_URL to send it")
    from hoc.mail.smtp import SmtpSender  # noqa: PLC0415 - only SMTP needs it

    try:
        await SmtpSender.from_url(url, timeout=_TIMEOUT_SECONDS).check()
    except MailError as problem:
        return Finding("mail", "wrong", f"{problem}: correct HOC_SMTP_URL, or the server")
    return Finding("mail", "ok", "the mail server accepts a session")


async def _nats_finding(settings: Settings, url: str | None) -> Finding:
    if url is None:
        return Finding("NATS", "warning", "none is running: events wait in the database; set HOC_NATS_URL")
    from nats.errors import Error  # noqa: PLC0415 - few commands need it

    from hoc.events.service import access_of  # noqa: PLC0415 - see above
    from hoc.events.tolerant_client import TolerantClient  # noqa: PLC0415 - see above

    async def ignore(_problem: Exception) -> None:
        """`connect` raises it."""

    access = replace(access_of(settings), url=url)
    client = TolerantClient(access.key)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):  # the client itself tries again and again
            await client.connect(
                **access.options(),
                tls=access.tls(),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                error_cb=ignore,
            )
            jetstream: Any = client.jetstream()  # pyright: ignore[reportUnknownMemberType] - nats-py types half
            await jetstream.account_info()
    except (Error, OSError, TimeoutError) as problem:
        return Finding(
            "NATS", "wrong", f"does not answer with JetStream ({type(problem).__name__}): check HOC_NATS_URL"
        )
    finally:
        await client.close()
    return Finding("NATS", "ok", "answers, with JetStream")
