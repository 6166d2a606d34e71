"""The URLs of NATS servers: a list by commas, with one login for all, percent-encoded."""

from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

_SCHEMES: Final = {"nats", "tls", "ws", "wss"}
_EXAMPLE: Final = "expected a URL such as nats://user:password@127.0.0.1:4222, or several by commas"


@dataclass(frozen=True, slots=True)
class NatsUrl:
    """``servers`` have no login in them. A login is a user and a password, or a token as the user."""

    servers: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, which does not quote the text. A server's name alone is a URL too."""
        found = [_parsed(each.strip()) for each in text.split(",")]
        logins = {login for _, login in found if login is not None}
        if len(logins) > 1:
            raise ValueError("expected the same login for all servers, or at one of them")
        if len({server.startswith("ws") for server, _ in found}) > 1:
            raise ValueError("expected ws:// or wss:// for all servers, or for none")
        user, password = next(iter(logins), (None, None))
        return cls(tuple(server for server, _ in found), user, password)


def _parsed(text: str) -> tuple[str, tuple[str, str | None] | None]:
    if "://" not in text:
        text = f"nats://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_EXAMPLE) from None
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0 or parts.path not in {"", "/"}:
        raise ValueError(_EXAMPLE)
    if parts.query or parts.fragment:
        raise ValueError(f"{_EXAMPLE}; TLS and keys are settings of their own")
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.username is None:
        return server, None
    password = None if parts.password is None else unquote(parts.password)
    return server, (unquote(parts.username), password)
