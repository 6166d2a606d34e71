"""Whose account a caller is: a subject is linked to an account, or it is an account's own id."""

from dataclasses import replace
from hashlib import sha256

from starlette.authentication import AuthenticationBackend
from starlette.requests import HTTPConnection

from hoc.concurrency.batching import BatchLoader
from hoc.cus.account.L2_api.authentication import Caller
from hoc.cus.account.L2_api.authentication.development import ISSUER as DEVELOPMENT_ISSUER
from hoc.cus.account.L2_api.authentication.tokens import authenticate_token
from hoc.cus.account.L5_engines.access import require_reader
from hoc.cus.account.L5_engines.text import MAX_ID_LENGTH
from hoc.cus.account.L5_schemas.port_types import AccessFetch, OwnerFetch, Subject


class Callers:
    """Finds callers' accounts. Concurrent requests share the reads.

    Args:
        access: reads the memberships of subjects in tenants.
        owners: reads the ids of the accounts that subjects are linked to.
        primary_issuer: the issuer whose subjects are account ids unless they are linked; so are those of
            development tokens. With None, every issuer is taken for it.
        authentication: tells whom a token is of. With None, no token can be told.
    """

    def __init__(
        self,
        access: AccessFetch,
        owners: OwnerFetch,
        *,
        primary_issuer: str | None,
        authentication: AuthenticationBackend | None,
    ) -> None:
        self._access = BatchLoader(access)
        self._owners = BatchLoader(owners)
        self._primary_issuers = {None, DEVELOPMENT_ISSUER, primary_issuer}
        self._tells_issuers = primary_issuer is not None
        self._authentication = authentication

    async def member(self, tenant_id: str, caller: Caller) -> Caller:
        """The caller under its account's id. Raises NotAMemberError or TenantNotActiveError."""
        access = require_reader(await self._access.get((tenant_id, self.subject_of(caller))))
        return self.as_account(caller, access.user_id)

    async def account_of(self, caller: Caller) -> Caller:
        """The caller under the id of the account that its subject is linked to, or else is the id of.

        The unlinked subject of another than the primary issuer gets an id that no account can have.
        """
        subject = self.subject_of(caller)
        user_id = await self._owners.get(subject)
        if user_id is None and subject.issuer == "":
            user_id = subject.id
        return self.as_account(caller, user_id)

    def as_account(self, caller: Caller, user_id: str | None) -> Caller:
        """The caller under an account's id, or with None under an id that no account can have."""
        if user_id is None:
            user_id = _id_of_nobody(self.subject_of(caller))
        return caller if user_id == caller.user_id else replace(caller, user_id=user_id, issuer=None)

    async def account_id(self, user_id: str) -> str:
        """The id of the account that the primary issuer's subject is linked to, or else is the id of."""
        return await self._owners.get(Subject(user_id)) or user_id

    def is_primary(self, caller: Caller) -> bool:
        """Whether the caller's subject is one of the primary issuer."""
        return not self._tells_issuers or caller.issuer in self._primary_issuers

    async def identify(self, request: HTTPConnection, token: str) -> Caller | None:
        """Whom a token is of, as if it were the request's. None: it is not valid."""
        if self._authentication is None:
            return None
        known = await authenticate_token(self._authentication, request, token)
        return known[1] if known is not None and isinstance(known[1], Caller) else None

    def subject_of(self, caller: Caller) -> Subject:
        return Subject(caller.user_id, "" if self.is_primary(caller) else caller.issuer or "")


def _id_of_nobody(subject: Subject) -> str:
    """An id of at most 255 characters for an unlinked subject. No account's id contains a space."""
    named = f"{subject.issuer} {subject.id}"
    return named if len(named) <= MAX_ID_LENGTH else f"sha256 {sha256(named.encode()).hexdigest()}"
