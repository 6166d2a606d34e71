"""The mail of an invitation and its token.

An invitation is created without a token. The courier draws one when it composes the mail, stores only its
SHA-256 and forgets it: the token exists in the delivered mail and nowhere else, and a mail that has to be
sent again carries a new one.
"""

import hashlib
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.session import Session, new_secret
from hoc.cus.account.L5_schemas.records import InvitationLetter


class LetterStore(Protocol):
    async def draw(
        self,
        session: Session,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationLetter | None:
        """Give a pending, unexpired invitation this token; None when there is nothing to send any more."""
        ...


async def draw_letter(
    letters: LetterStore, session: Session, tenant_id: str, invitation_id: str, *, now: datetime
) -> tuple[InvitationLetter, str] | None:
    """The mail's content and its fresh raw token, which carries the tenant; every earlier token is dead."""
    token = f"{tenant_id}.{new_secret()}"
    letter = await letters.draw(session, tenant_id, invitation_id, token_hash=token_hash(token), now=now)
    return None if letter is None else (letter, token)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
