"""A token for what operators read: metrics, details of health, and the descriptions of the interfaces."""

import hmac
from collections.abc import Collection
from typing import Final

from starlette.authentication import AuthenticationError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hoc.cus.account.L2_api.problems import problem_for
from hoc.cus.account.L2_api.request_ids import identify_request
from hoc.cus.account.L2_api.response import complete_headers

MIN_TOKEN_LENGTH: Final = 16
_AUTHORIZATION: Final = b"authorization"


class OperationsToken:
    """ASGI middleware that answers requests for ``paths`` with 401 unless they carry the bearer token.

    The applications behind it do not get the token, which would be a wrong access token there.

    Raises:
        ValueError: the token is too short.
    """

    def __init__(self, app: ASGIApp, *, token: str, paths: Collection[str]) -> None:
        if len(token) < MIN_TOKEN_LENGTH:
            raise ValueError(f"HOC_OPERATIONS_TOKEN must have at least {MIN_TOKEN_LENGTH} characters.")
        self._app = app
        self._token = token.encode()
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_protected(scope):
            await self._app(scope, receive, send)
            return
        credentials = [value for name, value in scope["headers"] if name == _AUTHORIZATION]
        if len(credentials) == 1 and self._is_right(credentials[0]):
            others = [(name, value) for name, value in scope["headers"] if name != _AUTHORIZATION]
            await self._app({**scope, "headers": others}, receive, send)
            return
        request_id = identify_request(scope)
        refusal = AuthenticationError("This needs the operations token, as Authorization: Bearer.")
        response = problem_for(Request(scope), refusal)
        complete_headers(response, request_id)
        await response(scope, receive, send)

    def _is_protected(self, scope: Scope) -> bool:
        return scope["path"].removeprefix(scope.get("root_path", "")) in self._paths

    def _is_right(self, credentials: bytes) -> bool:
        scheme, _, token = credentials.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(b" "), self._token)
