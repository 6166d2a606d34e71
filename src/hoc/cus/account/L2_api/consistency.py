"""Where there is a replica, callers read what they have written: in this process, and by token in others."""

import re
from collections.abc import Awaitable, Hashable
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from hoc.cus.account.L2_api.authentication import Caller
from hoc.cus.account.L5_schemas.errors import AccountsError, InvalidInputError
from hoc.database.consistency_tokens import position_of, token_of
from hoc.database.replica import Replica

HEADER: Final = "Consistency-Token"
PATTERN: Final = "^[A-Za-z0-9_-]{1,64}$"

_NAME: Final = HEADER.lower().encode()


class Consistency:
    """``replica`` is None where every read is on the primary."""

    def __init__(self, replica: Replica | None) -> None:
        self._replica = replica

    def after(self, scope: Scope, caller: Caller | None) -> int:
        """The position that a read for this request must have. Raises InvalidInputError for a bad token."""
        named = 0
        if (given := dict(scope["headers"]).get(_NAME)) is not None:
            named = position_of(_checked(given.decode("latin-1")))
        if self._replica is None:
            return 0
        return max(named, 0 if caller is None else self._replica.position_of(_who(caller)))

    async def kept(self, caller: Caller | None, change: Awaitable[Response]) -> Response:
        """The response to a change, with the token for later reads. The caller's own reads need none here."""
        if self._replica is None:
            return await change
        try:
            response = await change
        except BaseException as problem:
            if caller is not None and not _is_refusal(problem):
                self._replica.doubt(_who(caller))
            raise
        position = await self._replica.written()
        if position is not None:
            response.raw_headers.append((_NAME, token_of(position).encode()))
        if caller is not None:
            self._replica.remember(_who(caller), position)
        return response


def _checked(token: str) -> str:
    if not re.fullmatch(PATTERN, token):
        raise InvalidInputError(f"{HEADER} is not one that a change was answered with. Leave it out.")
    return token


def _who(caller: Caller) -> Hashable:
    return caller.issuer, caller.user_id


def _is_refusal(problem: BaseException) -> bool:
    """Whether nothing was changed for sure."""
    return (
        isinstance(problem, AccountsError | HTTPException)
        and problem.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    )
