"""Which PostgreSQL error is which error of the domain: violated constraints by name, outages, time limits."""

from contextlib import AbstractContextManager
from typing import Final

from hoc.concurrency.effect import Effect
from hoc.concurrency.time_limit import TimeLimit
from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountsError,
    AccountValidationError,
    ConflictError,
    LastOwnerError,
    OutcomeUnknownError,
    UnavailableError,
    UnfitDatabaseError,
)
from hoc.database import ErrorTranslator, translated_errors

RETRY_AFTER_SECONDS = 1
UNFIT_RETRY_AFTER_SECONDS = 5


_NO_ANSWER: Final = "The database did not answer in time"
_LATE: Final = "The request took too long"


def _unavailable(why: str = _NO_ANSWER) -> UnavailableError:
    return UnavailableError(f"{why}; nothing was changed.", retry_after=RETRY_AFTER_SECONDS)


def _outcome_unknown(why: str = _NO_ANSWER) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{why}; the outcome is unknown. Check whether a change was made before you repeat it, or repeat it"
        " with the same Idempotency-Key.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def unfit_database() -> UnfitDatabaseError:
    return UnfitDatabaseError(
        "The database is not ready for this version of the service. Nothing was changed.",
        retry_after=UNFIT_RETRY_AFTER_SECONDS,
    )


DOMAIN_ERRORS: Final = ErrorTranslator(
    base=AccountsError,
    unavailable=_unavailable,
    unknown=_outcome_unknown,
    unfit=unfit_database,
    violations={
        "ck_member_counts_keeps_an_owner": lambda: LastOwnerError("A tenant keeps at least one owner."),
        # It was erased while this waited for its lock.
        "ck_users_erased_is_empty": lambda: AccountNotFoundError("There is no such account."),
        "uq_users_email_key": lambda: AccountValidationError.of("email", "is another account's already"),
        "uq_tenant_domains_verified": lambda: ConflictError(
            "Another tenant has proved this domain.", code="domain_taken"
        ),
        "uq_invitations_pending": lambda: ConflictError(
            "An invitation to this address is pending.", code="already_pending"
        ),
    },
)


def explain_outage(problem: Exception) -> str | None:
    """The reason to log for an outage of the database, None for any other exception.

    The reason is empty where the database lacks what this version needs: that is logged where it is found.
    """
    if isinstance(problem, UnfitDatabaseError):
        return ""
    return "the database is unavailable" if isinstance(problem, UnavailableError) else None


def domain_errors() -> AbstractContextManager[None]:
    """Translate the errors of SQLAlchemy and asyncpg for which the domain has one to that `AccountsError`.

    An outage is an `OutcomeUnknownError`, because the block may have committed.
    """
    effect = Effect()
    effect.is_possible = True
    return translated_errors(DOMAIN_ERRORS, effect=effect)


def time_limit(seconds: float) -> TimeLimit:
    """``with limit.running():`` ends what takes longer. Many blocks can run at the same time.

    A block that took too long raises `OutcomeUnknownError` if a transaction of hoc's own in it may have
    committed, else `UnavailableError`. Your own commits in it are not known of.
    """
    return TimeLimit(seconds, lambda may_have_changed: _late(may_have_changed=may_have_changed))


def _late(*, may_have_changed: bool) -> UnavailableError:
    return _outcome_unknown(_LATE) if may_have_changed else _unavailable(_LATE)
