"""The mail of an invitation and its token.

An invitation is created without a token. The courier issues one when it composes the mail, and stores
only its SHA-256: the token exists in the delivered mail and nowhere else, and a mail that has to be
sent again carries a new one. `Invitations.link` issues one that is not mailed.
"""

import hashlib
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.session import Session, new_secret
from hoc.cus.account.L5_schemas.mails import InvitationMailContent


class InvitationMailStore(Protocol):
    async def issue_token(
        self,
        session: Session,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationMailContent | None:
        """Give a pending, unexpired, mailed invitation this token; None when it is not that any more."""
        ...


async def issue_token(
    mails: InvitationMailStore, session: Session, tenant_id: str, invitation_id: str, *, now: datetime
) -> tuple[InvitationMailContent, str] | None:
    """The mail's content and a new raw token, which names the tenant; every earlier token is dead.

    None when the invitation is not pending any more, or not to be mailed.
    """
    token = new_token(tenant_id)
    content = await mails.issue_token(
        session, tenant_id, invitation_id, token_hash=token_hash(token), now=now
    )
    return None if content is None else (content, token)


def new_token(tenant_id: str) -> str:
    return f"{tenant_id}.{new_secret()}"


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
