"""Which PostgreSQL error is which error of the domain: violated constraints by name, and outages."""

from contextlib import AbstractContextManager
from typing import Final

from hoc.cus.account.L5_schemas.errors import (
    AccountsError,
    AccountValidationError,
    ConflictError,
    LastOwnerError,
    UnavailableError,
    UnfitDatabaseError,
)
from hoc.database import ErrorTranslator, translated_errors

RETRY_AFTER_SECONDS = 1
UNFIT_RETRY_AFTER_SECONDS = 5


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "The database did not answer in time. Before you repeat a change, check whether it was made.",
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
    unfit=unfit_database,
    violations={
        "ck_member_counts_keeps_an_owner": lambda: LastOwnerError("A tenant keeps at least one owner."),
        "uq_users_email_key": lambda: AccountValidationError.of("email", "is another account's already"),
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
    """Translate the errors of SQLAlchemy and asyncpg for which the domain has one to that `AccountsError`."""
    return translated_errors(DOMAIN_ERRORS)
