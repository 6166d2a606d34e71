"""One call of an operation, parsed and checked: what the operation's handler works with."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Generic

from typing_extensions import TypeVar

from hoc.cus.account.L2_api.authentication import Caller
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import ForbiddenError, NotAuthenticatedError

BodyT = TypeVar("BodyT", default=None)
QueryT = TypeVar("QueryT", default=None)


@dataclass(slots=True)
class Call(Generic[BodyT, QueryT]):
    """``body`` and ``query`` are of the operation's declared types, None where it declares none.

    The caller's ``user_id`` is its account's id where the operation asks for more than a scope. Else it is
    the subject in the credentials, and for another than the primary issuer's what `Callers.account_of` says.
    ``session`` is open; it is None where the operation opens none. ``expected_version`` is the version in
    ``If-Match``, None when the request names none.
    ``after`` is the position that a read on a replica must have.
    ``identify`` says whom a token is of, None for an invalid one.
    """

    optional_caller: Caller | None
    scopes: Collection[str]
    path: dict[str, str]
    body: BodyT
    query: QueryT
    identify: Callable[[str], Awaitable[Caller | None]]
    expected_version: int | None = None
    after: int = 0
    session: Session = None

    @property
    def caller(self) -> Caller:
        """Raises NotAuthenticatedError for a request without valid credentials."""
        if self.optional_caller is None:
            raise NotAuthenticatedError(
                "Authentication is required, and this request carries no valid credentials."
            )
        return self.optional_caller

    @property
    def caller_id(self) -> str:
        return self.caller.user_id

    @property
    def tenant_id(self) -> str:
        """The tenant that the caller's credentials select. It does not say what the caller may do there."""
        tenant_id = self.caller.tenant_id
        if tenant_id is None:
            raise ForbiddenError("Your credentials select no tenant.", code="no_tenant")
        return tenant_id


def require_caller(call: Call[object, object], *, in_tenant: bool) -> None:
    """Refuse a call without valid credentials, and with ``in_tenant`` one whose credentials select none."""
    _ = call.tenant_id if in_tenant else call.caller
