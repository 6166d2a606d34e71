"""Idempotency keys: a POST that is repeated with its key is answered as the first time, and done once.

The key and its response are stored in the transaction of the request's effect.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Protocol

from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_schemas.errors import ConflictError, IdempotencyKeyReusedError, InvalidInputError
from hoc.cus.account.L5_schemas.port_types import IdempotencyKey, StoredResponse

LIFETIME = timedelta(hours=24)
MAX_KEY_LENGTH = 255


class IdempotencyStore(Protocol):
    async def claim(
        self, session: Session, key: IdempotencyKey, request_hash: bytes, *, now: datetime, stale: datetime
    ) -> bool:
        """Claim the key. False: it has been claimed, and not before ``stale``.

        Waits for another transaction that is claiming the key.
        """
        ...

    async def find(self, session: Session, key: IdempotencyKey) -> StoredResponse | None: ...

    async def complete(
        self, session: Session, key: IdempotencyKey, *, status_code: int, body: bytes
    ) -> None: ...


class Idempotency:
    def __init__(self, keys: IdempotencyStore, *, clock: Clock = utc_now) -> None:
        self._keys = keys
        self._clock = clock

    async def begin(self, session: Session, key: IdempotencyKey, request: bytes) -> StoredResponse | None:
        """Claim the key. Returns the stored response if the request has been made before.

        Raises InvalidInputError, IdempotencyKeyReusedError (the key was used for another payload) or
        ConflictError (`answer_erased`: an erasure blanked the response).
        """
        if not 1 <= len(key.key) <= MAX_KEY_LENGTH or not key.key.isprintable() or not key.key.isascii():
            raise InvalidInputError(
                f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"
            )
        digest = hashlib.sha256(request).digest()
        now = self._clock()
        if await self._keys.claim(session, key, digest, now=now, stale=now - LIFETIME):
            return None
        stored = await self._keys.find(session, key)
        if stored is not None and stored.request_hash != digest:
            raise IdempotencyKeyReusedError(
                "This Idempotency-Key was used for another request. Use a new key."
            )
        if stored is not None and stored.body is None:
            raise ConflictError(
                "This request was made before, and its answer has been erased with somebody's personal data."
                " Read what the request made instead of repeating it.",
                code="answer_erased",
            )
        return stored

    async def complete(self, session: Session, key: IdempotencyKey, *, status_code: int, body: bytes) -> None:
        """Store the response to a request whose key this transaction has claimed."""
        await self._keys.complete(session, key, status_code=status_code, body=body)
