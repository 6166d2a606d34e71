"""The domain's errors, each a reason to refuse an operation.

    AccountsError
    ├── InvalidInputError         400  bad input, with a JSON pointer per field
    │   ├── OwnMembershipError    400  changing one's own role, removing oneself
    │   └── AccountValidationError 400 also an AccountServiceError
    ├── NotAuthenticatedError     401
    ├── ForbiddenError            403
    │   ├── NotAMemberError       403  also when the tenant does not exist
    │   └── TenantNotActiveError  403  suspended reads but does not write
    ├── NotFoundError             404  not there, another tenant's, or a wrong invitation token
    │   └── AccountNotFoundError  404  also an AccountServiceError
    ├── ConflictError             409  already pending, already a member, slug taken …
    │   ├── LastOwnerError        409
    │   └── TransferPendingError  409
    ├── InvitationExpiredError    410
    ├── EmailChangeExpiredError   410
    ├── StaleVersionError         412
    ├── IdempotencyKeyReusedError 422
    ├── LimitExceededError        429  a quota or a limit of mails, with ``retry_after``
    └── UnavailableError          503  the database is away or too busy, or time is up; nothing was changed
        └── OutcomeUnknownError   503  the same, but a change may have been made

AccountServiceError is the base that the identity service's specification names for its two.

``code`` is stable and for programs. The message is for people and contains nothing personal.
"""

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field. ``pointer`` is a JSON pointer (RFC 6901) into the body, or ``?name`` for a parameter."""

    pointer: str
    detail: str


class AccountsError(Exception):
    """The base of all the domain's errors. ``retry_after`` is in seconds."""

    code: ClassVar[str] = "error"
    status_code: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        problems: tuple[FieldProblem, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error = code or self.code
        self.problems = problems
        self.retry_after = retry_after


class InvalidInputError(AccountsError):
    code = "invalid_input"
    status_code = 400

    @classmethod
    def of(cls, field: str, detail: str) -> Self:
        """The error for one field of the body."""
        return cls(f"{field}: {detail}", problems=(FieldProblem(f"/{field}", detail),))

    @classmethod
    def of_parameter(cls, name: str, detail: str) -> Self:
        """The error for one query parameter."""
        return cls(f"{name}: {detail}", problems=(FieldProblem(f"?{name}", detail),))


class OwnMembershipError(InvalidInputError):
    code = "own_membership"


class NotAuthenticatedError(AccountsError):
    code = "not_authenticated"
    status_code = 401


class ForbiddenError(AccountsError):
    code = "forbidden"
    status_code = 403


class NotAMemberError(ForbiddenError):
    code = "not_a_member"


class TenantNotActiveError(ForbiddenError):
    code = "tenant_not_active"


class NotFoundError(AccountsError):
    code = "not_found"
    status_code = 404


class ConflictError(AccountsError):
    code = "conflict"
    status_code = 409


class LastOwnerError(ConflictError):
    code = "last_owner"


class TransferPendingError(ConflictError):
    code = "transfer_pending"


class InvitationExpiredError(AccountsError):
    code = "invitation_expired"
    status_code = 410


class EmailChangeExpiredError(AccountsError):
    code = "email_change_expired"
    status_code = 410


class StaleVersionError(AccountsError):
    code = "stale_version"
    status_code = 412

    @classmethod
    def of_account(cls) -> Self:
        return cls("The account has changed since you read it. Read it again.")


class IdempotencyKeyReusedError(AccountsError):
    code = "idempotency_key_reused"
    status_code = 422


class LimitExceededError(AccountsError):
    code = "limit_exceeded"
    status_code = 429

    @classmethod
    def of_seats(cls, tenant_id: str, max_members: int) -> Self:
        """The error for an account that was a member of a tenant, and would need a seat there again."""
        return cls(
            f"The tenant {tenant_id} has no seat for this account: its quota max_members of {max_members} is"
            " used up. Raise the quota, or have a member or an invitation removed.",
            code="quota_exceeded",
        )


class UnavailableError(AccountsError):
    code = "unavailable"
    status_code = 503


class OutcomeUnknownError(UnavailableError):
    """A change was sent to the database, which did not say in time whether it was made."""

    code = "outcome_unknown"


class UnfitDatabaseError(UnavailableError):
    """The database lacks the schema or the privileges that this version needs. Logged where it is found."""


class AccountServiceError(AccountsError):
    code = "account_service_error"


class AccountNotFoundError(NotFoundError, AccountServiceError):
    code = "account_not_found"


class AccountValidationError(InvalidInputError, AccountServiceError):
    code = "account_invalid"
