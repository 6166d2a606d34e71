"""Opening connections, as a URL says: to the first of its hosts that answers and is fit."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import asyncpg

from hoc.database.outages import sqlstate
from hoc.database.pooled_connection import PooledConnection
from hoc.database.pooler import Pooler, PoolerFoundError, refuses_parameters, settle
from hoc.postgres_url import Host, PostgresUrl

CONNECT_TIMEOUT_SECONDS: Final = 1
PasswordSource: TypeAlias = Callable[[], str | Awaitable[str]]
"""Gives the password of a new connection, for passwords that change."""

# A host that failed is tried after the others for this long.
_RECHECK_SECONDS: Final = 10.0
# libpq too tries the next host when none answers, or the server starts or stops, but not when it refuses.
_NEXT_HOST: Final = ("08", "57P03")
_POOLER_SECONDS: Final = 3.0
_FAILED: Final = 1
_SILENT: Final = 2
_PREFER_STANDBY: Final = "prefer-standby"


class NotConnectedError(ConnectionError):
    """No host gave a connection.

    ``reason`` names each of several; ``sqlstate`` is PostgreSQL's, or None. ``finds_pooler`` says that a
    pooler answers where PostgreSQL itself was expected.
    """

    def __init__(self, failures: Mapping[Host, Exception], seconds: float | None) -> None:
        self.finds_pooler = any(isinstance(each, PoolerFoundError) for each in failures.values())
        reasons = [(host, _reason(each, seconds)) for host, each in failures.items()]
        self.reason = (
            reasons[0][1] if len(reasons) == 1 else "; ".join(f"{host}: {why}" for host, why in reasons)
        )
        super().__init__("; ".join(f"{host}: {why}" for host, why in reasons))
        self.sqlstate = next(filter(None, map(sqlstate, failures.values())), None)


class Connector:
    """Opens connections of asyncpg.

    Args:
        url: names the hosts. The first one that fits is used; each has a deadline of its own.
        password: gives the password of each connection, in place of the URL's.
        connect_timeout: in seconds for each host, unless the URL says.
        pooler: the pooler that the URL leads to.
        limits: PostgreSQL's time limits. A pooler in transaction mode has none of a client's.
        options: further arguments of ``asyncpg.connect``.
    """

    def __init__(
        self,
        url: PostgresUrl,
        *,
        password: PasswordSource | None = None,
        connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
        pooler: Pooler | None = None,
        server_settings: Mapping[str, str],
        limits: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - asyncpg's own
    ) -> None:
        self._url = url
        self._pooler: Pooler | None = pooler
        self._limits = limits
        given = connect_timeout if url.connect_timeout is None else url.connect_timeout
        self._seconds = given or None
        self._failed: dict[Host, tuple[float, int]] = {}
        settings = {"application_name": url.application_name, "options": url.options}
        if pooler == "transaction":
            options["statement_cache_size"] = 0
        self._arguments: dict[str, Any] = options | {
            "dsn": f"postgresql://?{urlencode(url.tls)}" if url.tls else None,
            "user": url.user,
            "password": password or (url.current_password if url.password_file else url.password),
            "passfile": url.passfile,
            "database": url.database,
            "timeout": self._seconds,
            "connection_class": PooledConnection if pooler == "transaction" else asyncpg.Connection,
            "server_settings": {
                **server_settings,
                **({} if pooler else limits),
                **{name: given for name, given in settings.items() if given},
            },
        }

    async def connect(self) -> asyncpg.Connection:
        """Raises NotConnectedError, whatever it was."""
        attributes = self._url.target_session_attrs
        first = "standby" if attributes == _PREFER_STANDBY else attributes
        try:
            return await self._connect(first)
        except NotConnectedError:
            if attributes != _PREFER_STANDBY:
                raise
            return await self._connect("any")

    async def _connect(self, attributes: str | None) -> asyncpg.Connection:
        failures: dict[Host, Exception] = {}
        for host in sorted(self._url.hosts, key=self._rank):
            try:
                connection = await self._connect_to(host, attributes)
            except Exception as problem:  # noqa: BLE001 - a wrong certificate, a garbled answer, a failing callable, …
                is_refused = self._pooler is None and refuses_parameters(problem)
                failures[host] = PoolerFoundError() if is_refused else problem
                self._failed[host] = (
                    time.monotonic(),
                    _SILENT if isinstance(problem, TimeoutError) else _FAILED,
                )
                state = sqlstate(problem)
                if state is not None and not state.startswith(_NEXT_HOST):
                    break
            else:
                self._failed.pop(host, None)
                return connection
        raise NotConnectedError(failures, self._seconds) from next(iter(failures.values()))

    async def _connect_to(self, host: Host, attributes: str | None) -> asyncpg.Connection:
        arguments: dict[str, Any] = self._arguments | {
            "host": host.name,
            "port": host.port,
            "target_session_attrs": attributes,
            "ssl": _system_roots(self._url.tls) if self._url.trusts_system else None,
        }
        connection: asyncpg.Connection = await asyncpg.connect(**arguments)
        try:
            # PgBouncer opens its own connections one after the other, and clients that come together wait.
            seconds = self._seconds and max(self._seconds, _POOLER_SECONDS if self._pooler else 0)
            async with asyncio.timeout(seconds):
                await settle(connection, self._pooler, self._limits)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _rank(self, host: Host) -> int:
        """Hosts that failed lately come last, and behind them those that cost a whole deadline."""
        since, rank = self._failed.get(host, (-_RECHECK_SECONDS, 0))
        return rank if time.monotonic() - since < _RECHECK_SECONDS else 0


def _system_roots(tls: Mapping[str, str]) -> ssl.SSLContext:
    """A context for ``sslrootcert=system``, which asyncpg does not know."""
    context = ssl.create_default_context()
    if "sslcert" in tls:
        context.load_cert_chain(tls["sslcert"], tls.get("sslkey"), tls.get("sslpassword", ""))
    return context


def _reason(problem: Exception, seconds: float | None) -> str:
    if isinstance(problem, TimeoutError):
        return f"no answer within {seconds:g} s" if seconds else "no answer"
    if isinstance(problem, asyncpg.TargetServerAttributeNotMatched):
        return "the server is not as target_session_attrs demands"
    if isinstance(problem, ConnectionError) and problem.errno:
        return os.strerror(problem.errno)  # the driver's text repeats the address
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    lines = str(problem).splitlines()
    return lines[0].rstrip(".") if lines else type(problem).__name__
