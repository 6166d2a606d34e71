"""Resources as rows, and rows as resources."""

from datetime import datetime
from typing import Any, Final

import orjson
from scim2_models import Group, InvalidValueException, Resource

from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L6_drivers.execution import AnyRow
from hoc.cus.account.L6_drivers.scim_resources import Kind, Member, Values
from hoc.scim.folding import compared, folded, is_storable
from hoc.scim.user import EnterpriseUser, User

MAX_RESOURCE_BYTES: Final = 65_536
MAX_NAME: Final = 255

# Other columns hold them, or other rows; a password is nobody's here.
_NOT_IN_RESOURCE = ("id", "meta", "groups", "members", "password")
_MODELS: Final[dict[Kind, type[Resource[Any]]]] = {"User": User[EnterpriseUser], "Group": Group}
_RELATED_AS: Final = {"User": "groups", "Group": "members"}


def values_of(resource: Resource[Any]) -> Values:
    """Raises InvalidValueException: a value is too long, or PostgreSQL cannot hold it."""
    given = resource.model_dump()
    for name in _NOT_IN_RESOURCE:
        given.pop(name, None)
    _require_storable(given)
    name = _name_of(resource)
    return Values(
        name=folded(
            _short("userName" if isinstance(resource, User) else "displayName", name), case_exact=False
        ),
        external_id=None if resource.external_id is None else _short("externalId", resource.external_id),
        resource=given,
        compared=compared(resource),
        is_active=not isinstance(resource, User) or resource.active is not False,
    )


def version_of(row: AnyRow) -> str:
    return f'W/"{row.version}"'


def document_of(kind: Kind, row: AnyRow, related: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A resource as JSON, but for its location, and with references that are relative to the endpoints."""
    document = {
        **row.resource,
        "id": row.resource_id,
        "meta": {
            "resourceType": kind,
            "created": _time(row.created_at),
            "lastModified": _time(row.updated_at),
            "version": version_of(row),
        },
    }
    if related:
        document[_RELATED_AS[kind]] = related
    return document


def resource_of(document: dict[str, Any]) -> Resource[Any]:
    kind: Kind = document["meta"]["resourceType"]
    return _MODELS[kind].model_validate(document)


def members_of(group: Group) -> list[Member]:
    """A group's members. Raises InvalidValueException for one without an id, or that cannot be stored."""
    members = {
        given.value or "": Member(given.value or "", given.type, given.display)
        for given in group.members or []
    }
    texts = [text for member in members.values() for text in (member.type, member.display) if text]
    if not all(map(is_storable_id, members)) or not all(map(is_storable, texts)):
        raise InvalidValueException(detail="members: each member needs a value, the id of a user.")
    return list(members.values())


def addresses_of(user: User[Any]) -> list[str]:
    """The user's addresses, in the order in which they are tried: the primary one, then those of work.

    The userName is one of a user without others, as it often is an address.
    """
    given = [email for email in user.emails or [] if email.value]
    order = sorted(given, key=lambda email: (not email.primary, email.type != "work"))
    return [str(email.value) for email in order] or [user.user_name or ""]


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _name_of(resource: Resource[Any]) -> str:
    return (
        resource.user_name if isinstance(resource, User) else getattr(resource, "display_name", None)
    ) or ""


def _short(attribute: str, value: str) -> str:
    if not 1 <= len(value) <= MAX_NAME:
        raise InvalidValueException(detail=f"{attribute}: must have 1 to {MAX_NAME} characters.")
    return value


def _require_storable(document: dict[str, Any]) -> None:
    try:
        encoded = orjson.dumps(document)
    except TypeError:  # a lone surrogate
        raise InvalidValueException(detail="The resource contains text that is not valid Unicode.") from None
    if b"\\u0000" in encoded:
        raise InvalidValueException(
            detail="The resource contains the character U+0000, which cannot be stored."
        )
    if len(encoded) > MAX_RESOURCE_BYTES:
        raise InvalidValueException(detail=f"The resource must not exceed {MAX_RESOURCE_BYTES} bytes.")
