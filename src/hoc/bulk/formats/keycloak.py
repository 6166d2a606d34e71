"""Keycloak: the users of a realm's JSON, as `kc.sh export --realm` writes it, https://www.keycloak.org/server/importExport.

Each is a ``UserRepresentation``. Its subject in tokens is ``id``.
"""

from hoc.bulk.formats.user import (
    Exported,
    ExportedUser,
    Identity,
    full_name,
    is_true,
    iso_time,
    objects_in,
    values_in,
)


def keycloak_user(record: Exported) -> ExportedUser:
    return ExportedUser(
        user_id=record.get("id"),
        email=record.get("email"),
        name=full_name(record.get("firstName"), record.get("lastName")) or record.get("username"),
        email_verified=is_true(record.get("emailVerified")),
        is_active=record.get("enabled") is not False,
        created_at=iso_time(record.get("createdTimestamp")),
        locale=_attribute(record, "locale"),
        identities=tuple(_identities(record.get("federatedIdentities"))),
    )


def _attribute(record: Exported, name: str) -> object:
    """The first value of an attribute, each of which Keycloak exports as a list."""
    for attributes in objects_in([record.get("attributes")]):
        return next(iter(values_in(attributes.get(name))), None)
    return None


def _identities(listed: object) -> list[Identity]:
    return [
        Identity(str(entry["identityProvider"]), str(entry["userId"]))
        for entry in objects_in(listed)
        if {"identityProvider", "userId"} <= entry.keys()
    ]
