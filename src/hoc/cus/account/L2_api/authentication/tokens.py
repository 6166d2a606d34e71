"""Tokens that a request carries elsewhere than in its header."""

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection


async def authenticate_token(
    backend: AuthenticationBackend, conn: HTTPConnection, token: str
) -> tuple[AuthCredentials, BaseUser] | None:
    """Whose a token is, as if it were the connection's bearer token. None: it is not valid (any more)."""
    if not token.isascii():
        return None
    headers = [header for header in conn.scope["headers"] if header[0] == b"host"]
    headers.append((b"authorization", f"Bearer {token}".encode()))
    try:
        return await backend.authenticate(HTTPConnection({**conn.scope, "headers": headers}))
    except AuthenticationError:
        return None
