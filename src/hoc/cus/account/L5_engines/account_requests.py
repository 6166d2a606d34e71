"""The requests of the identity service, checked and made into what its repository takes."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from hoc.cus.account.L5_engines.email_address import fold, parse_email
from hoc.cus.account.L5_engines.merge_patches import checked_patch
from hoc.cus.account.L5_engines.session import new_id
from hoc.cus.account.L5_engines.text import clean_line, is_account_id, is_storable_id
from hoc.cus.account.L5_schemas.errors import AccountValidationError, InvalidInputError
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountUpdateRequest,
    SignInRequest,
)
from hoc.cus.account.L5_schemas.port_types import AccountPatch, EmailAddress, NewAccount, Subject

MAX_PROVIDER_LENGTH = 64
MAX_REASON_LENGTH = 500


@contextmanager
def validation() -> Generator[None]:
    """Raise an InvalidInputError as the service's own AccountValidationError. It is a decorator, too."""
    try:
        yield
    except InvalidInputError as refusal:
        raise AccountValidationError(refusal.message, problems=refusal.problems) from None


class AccountRequests:
    """Checks what depends on `AccountService`'s settings. Each method raises AccountValidationError."""

    def __init__(self, *, primary_issuer: str | None, special_use_domains: bool) -> None:
        self._primary_issuer = primary_issuer
        self._special_use_domains = special_use_domains

    @validation()
    def new_account(self, request: AccountEnsureRequest) -> NewAccount:
        subject = Subject(request.user_id, self._issuer(request.issuer))
        user_id = _id_for(subject)
        address = self.address(request.email)
        name = clean_line("name", request.name)
        return NewAccount(subject, user_id, address, name, fold(name), request.email_verified)

    @validation()
    def patch(self, request: AccountUpdateRequest) -> AccountPatch:
        named = name_patch(request)
        address = None if request.email is None else self.address(request.email)
        return replace(
            named,
            email=None if address is None else address.given,
            email_key=None if address is None else address.key,
            email_verified=request.email_verified,
        )

    @validation()
    def address(self, email: str) -> EmailAddress:
        return parse_email(email, special_use=self._special_use_domains)

    @validation()
    def subject(self, subject: str, issuer: str | None) -> Subject:
        if not is_storable_id(subject):
            raise InvalidInputError.of("subject", "must be 1 to 255 characters without control characters")
        return Subject(subject, self._issuer(issuer))

    def _issuer(self, issuer: str | None) -> str:
        """The issuer as it is stored: empty for the primary one, and for all when none is the primary one."""
        if issuer is None:
            return ""
        if not is_storable_id(issuer):
            raise InvalidInputError.of("issuer", "must be 1 to 255 characters without control characters")
        if self._primary_issuer in {None, issuer}:
            return ""
        return issuer


@validation()
def name_patch(request: AccountUpdateRequest) -> AccountPatch:
    """The patch without the address. Raises AccountValidationError, as the functions below."""
    name = None if request.name is None else clean_line("name", request.name)
    return AccountPatch(name=name, name_key=None if name is None else fold(name))


@validation()
def preferences_patch(request: AccountPreferencesRequest) -> AccountPatch:
    return AccountPatch(preferences=checked_patch("preferences", request.preferences))


@validation()
def checked_reason(reason: str | None) -> str | None:
    return None if reason is None else clean_line("reason", reason, max_length=MAX_REASON_LENGTH)


@validation()
def checked_provider(request: SignInRequest) -> str | None:
    if request.provider is None:
        return None
    return clean_line("provider", request.provider, max_length=MAX_PROVIDER_LENGTH)


def _id_for(subject: Subject) -> str:
    """The id of a new account: the subject of the primary issuer, or a generated one."""
    if subject.issuer == "":
        if not is_account_id(subject.id):
            raise InvalidInputError.of("user_id", "must be 1 to 255 visible characters without /")
        return subject.id
    if not is_storable_id(subject.id):
        raise InvalidInputError.of("user_id", "must be 1 to 255 characters without control characters")
    return new_id("usr")
