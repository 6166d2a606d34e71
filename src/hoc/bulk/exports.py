"""The exports of other systems, read as rows of accounts."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hoc.bulk.files import Record, Rejection, Row, Rows
from hoc.bulk.formats.auth0 import auth0_user
from hoc.bulk.formats.clerk import CLERK_COLUMNS, clerk_user
from hoc.bulk.formats.cognito import COGNITO_COLUMNS, cognito_user
from hoc.bulk.formats.keycloak import keycloak_user
from hoc.bulk.formats.user import Exported, ExportedUser
from hoc.bulk.json_array import JsonArray

_KEPT = ("user_id", "email", "name", "is_active", "created_at", "last_login_at", "locale", "timezone")


class System(StrEnum):
    """The systems whose exports can be imported."""

    AUTH0 = "auth0"
    CLERK = "clerk"
    COGNITO = "cognito"
    KEYCLOAK = "keycloak"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an export does not say.

    Attributes:
        trusts_verified: addresses count as verified where the export says that they are. Whoever could have
            an address marked as verified there can then accept the invitations to it.
        issuer: of the exporting system's tokens, whose subjects are the users' ids. None: none is linked.
        links: the issuer of each provider that users of the exporting system sign in with.
    """

    trusts_verified: bool = False
    issuer: str | None = None
    links: Mapping[str, str] = field(default_factory=dict[str, str])


class ExportRows:
    """Iterates over the users of an export, as rows of accounts. Gives a `Rejection` for what it cannot read.

    ``left_out`` counts the identities whose provider has no issuer in the options, by provider.
    """

    def __init__(self, file: io.BufferedReader, system: System, options: ExportOptions) -> None:
        self._records, self._user = _reader(file, system)
        self._options = options
        self.left_out = Counter[str]()

    @property
    def bytes_read(self) -> int:
        return self._records.bytes_read

    def __iter__(self) -> Iterator[Record | Rejection]:
        for record in self._records:
            yield self._account(record) if isinstance(record, Record) else record

    def _account(self, record: Record) -> Record:
        user, options = self._user(record.values), self._options
        values: Row = {name: getattr(user, name) for name in _KEPT}
        values["email_verified"] = user.email_verified and options.trusts_verified
        return replace(record, values=values, identities=tuple(self._identities(user)))

    def _identities(self, user: ExportedUser) -> Iterable[tuple[str, str]]:
        if self._options.issuer is not None:
            yield self._options.issuer, str(user.user_id)
        for identity in user.identities:
            if identity.provider in self._options.links:
                yield self._options.links[identity.provider], identity.subject
            else:
                self.left_out[identity.provider] += 1


def _reader(
    file: io.BufferedReader, system: System
) -> tuple[Rows | JsonArray, Callable[[Exported], ExportedUser]]:
    match system:
        case System.AUTH0:
            return Rows(file, ".jsonl", required=(), known=None), auth0_user
        case System.CLERK:
            return Rows(file, ".csv", required=CLERK_COLUMNS, known=None), clerk_user
        case System.COGNITO:
            return Rows(file, ".csv", required=COGNITO_COLUMNS, known=None), cognito_user
        case System.KEYCLOAK:
            return JsonArray(file, "users"), keycloak_user
