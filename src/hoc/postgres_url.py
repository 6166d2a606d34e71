"""The URL of a PostgreSQL, with the parameters that libpq knows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

PASSWORD_FILE: Final = "password_file"  # noqa: S105 - the name of a parameter, which is hoc's own

_URL: Final = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:/?@]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<hosts>[^/?@]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d*))?")

_FILES: Final = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
_TLS: Final = (*_FILES, "sslmode", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version")
_OTHERS: Final = (
    *("host", "port", "user", "password", "dbname", "passfile", "connect_timeout", "options"),
    *("application_name", "fallback_application_name", "target_session_attrs"),
)
_SYSTEM: Final = "system"
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    # asyncpg binds no channel, encrypts with TLS alone, and speaks UTF-8: other values it cannot honour.
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("auto", "utf8", "utf-8", "UTF8", "UTF-8"),
}
_INSTEAD: Final = {
    ("channel_binding", "require"): " (the driver binds no channel: sslmode=verify-full proves the server)",
}
_KNOWN: Final = (*_OTHERS, *_TLS, *_CHOICES)


class Host(NamedTuple):
    """A server's name, address or socket directory, and port. None is the driver's default."""

    name: str | None
    port: int | None

    def __str__(self) -> str:
        name = self.name or "localhost"
        if name.startswith("/"):
            return name if self.port is None else f"{name} (port {self.port})"
        return f"[{name}]:{self.port or 5432}" if ":" in name else f"{name}:{self.port or 5432}"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """What a URL says. None is what it leaves to the driver, which reads libpq's variables (`PGUSER`, …).

    ``connect_timeout`` is in seconds for each host; 0 waits for ever. ``tls`` are libpq's parameters.
    """

    hosts: tuple[Host, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    passfile: str | None = None
    password_file: Path | None = None
    database: str | None = None
    connect_timeout: int | None = None
    target_session_attrs: str | None = None
    application_name: str | None = None
    options: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def parse(cls, url: str) -> "PostgresUrl":
        """Raises ValueError, whose text names what is wrong and never quotes a password."""
        parts = _URL.fullmatch(url)
        if parts is None:
            raise _not_a_url()
        given = _parameters(parts["query"] or "")
        password_file = given.pop(PASSWORD_FILE, "")
        _check(given)
        tls = {name: given[name] for name in _TLS if given.get(name)}
        _check_tls(tls)
        return cls(
            hosts=_hosts(parts["hosts"], given),
            user=given.get("user") or unquote(parts["user"] or "") or None,
            password=given.get("password") or unquote(parts["password"] or "") or None,
            passfile=given.get("passfile") or None,
            password_file=Path(password_file) if password_file else None,
            database=given.get("dbname") or unquote(parts["database"] or "") or None,
            connect_timeout=_whole_number("connect_timeout", given.get("connect_timeout")),
            target_session_attrs=given.get("target_session_attrs") or None,
            application_name=given.get("application_name") or given.get("fallback_application_name") or None,
            options=given.get("options") or None,
            tls=tls,
        )

    @property
    def trusts_system(self) -> bool:
        """Whether the operating system's certificate authorities prove the server."""
        return self.tls.get("sslrootcert") == _SYSTEM

    @property
    def place(self) -> str:
        """The database and its servers, for messages."""
        return f"{self.database or self.user or 'hoc'} at {', '.join(map(str, self.hosts))}"

    def current_password(self) -> str | None:
        """The password as of now. Raises OSError when its file cannot be read."""
        if self.password_file is None:
            return self.password
        return self.password_file.read_text().rstrip("\r\n")


def with_password_file(url: str, file: Path) -> str:
    """The URL with the password in a file, which is read for each connection.

    Raises ValueError when the URL has a password, or there is no file.
    """
    if PostgresUrl.parse(url).password is not None:
        raise ValueError("has a password, and HOC_DATABASE_PASSWORD_FILE names another: remove one of them")
    if not file.is_file():
        raise ValueError(f"HOC_DATABASE_PASSWORD_FILE: there is no file {file}")
    base, _, query = url.partition("?")
    others = [part for part in query.split("&") if part and not part.startswith(f"{PASSWORD_FILE}=")]
    return f"{base}?{'&'.join([*others, f'{PASSWORD_FILE}={quote(str(file))}'])}"


def without_secrets(url: str) -> str:
    """The URL with ``***`` in place of passwords."""
    shown = re.sub(r"(://[^:/?@]*):[^@]*@", r"\1:***@", url)
    return re.sub(r"([?&](?:ssl)?password)=[^&]*", r"\1=***", shown)


def _not_a_url() -> ValueError:
    return ValueError("expected a URL such as postgresql://user:password@127.0.0.1:5432/name")


def _parameters(query: str) -> dict[str, str]:
    """The parameters by name; the last of equal names counts. SQLAlchemy has `ssl`, and repeats `host`."""
    try:
        # To libpq a plus sign is no space.
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("the parameters after ? must be name=value, separated by &") from None
    given = {"sslmode" if name == "ssl" else name: value for name, value in pairs}
    if "host" in given:
        given["host"] = ",".join(value for name, value in pairs if name == "host")
    return given


def _check(given: Mapping[str, str]) -> None:
    if unknown := sorted(given.keys() - set(_KNOWN)):
        raise ValueError(
            f"the URL's parameter {unknown[0]} is unknown; known are {', '.join(sorted(_KNOWN))}"
        )
    for name, choices in _CHOICES.items():
        value = given.get(name)
        if value and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}{_INSTEAD.get((name, value), '')}")


def _check_tls(tls: dict[str, str]) -> None:
    system = tls.get("sslrootcert") == _SYSTEM
    if system and tls.setdefault("sslmode", "verify-full") != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full")
    for name in _FILES:
        if name in tls and not (system and name == "sslrootcert") and not Path(tls[name]).is_file():
            raise ValueError(f"{name}: there is no file {tls[name]}")


def _hosts(authority: str, given: Mapping[str, str]) -> tuple[Host, ...]:
    """The servers, of which the parameters ``host`` and ``port`` take precedence."""
    if given.get("host"):
        found = [_named_host(name) for name in given["host"].split(",")]
    elif authority:
        found = [_host(spec) for spec in authority.split(",")]
    else:
        found = [Host(None, None)]
    if not given.get("port"):
        return tuple(found)
    ports = [_port(port) for port in given["port"].split(",")]
    if len(ports) == 1:
        ports *= len(found)
    if len(ports) != len(found):
        raise ValueError(f"port: {len(ports)} ports for {len(found)} hosts")
    return tuple(Host(host.name, port) for host, port in zip(found, ports, strict=True))


def _named_host(name: str) -> Host:
    """A host as the parameter has it: an IPv6 address without brackets; a directory begins with ``/``."""
    return Host(name, None) if name.startswith("/") or name.count(":") > 1 else _host(name)


def _host(spec: str) -> Host:
    parts = _HOST.fullmatch(spec)
    if parts is None:
        raise _not_a_url()
    return Host(unquote(parts["v6"] or parts["name"]), _port(parts["port"] or ""))


def _port(text: str) -> int | None:
    port = _whole_number("port", text)
    if port is not None and not 0 < port < 2**16:
        raise ValueError("port must be between 1 and 65535")
    return port


def _whole_number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(f"{name} must be a whole number")
    return max(int(text), 0)
