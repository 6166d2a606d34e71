"""Auth0: JSON lines, as the job "export users" writes them.

The fields are those of Auth0's user profile, https://auth0.com/docs/manage-users/user-accounts/user-profiles,
or titles such as ``Email Verified``, which the job writes unless it is asked for fields by name.
"""

from hoc.bulk.formats.user import Exported, ExportedUser, Identity, full_name, is_true, objects_in

_OWN = "auth0"


def auth0_user(record: Exported) -> ExportedUser:
    user = {name.lower().replace(" ", "_"): value for name, value in record.items()}
    return ExportedUser(
        user_id=user.get("user_id", user.get("id")),
        email=user.get("email"),
        name=full_name(user.get("name")) or full_name(user.get("given_name"), user.get("family_name")),
        email_verified=is_true(user.get("email_verified")),
        is_active=not is_true(user.get("blocked")),
        created_at=user.get("created_at"),
        last_login_at=user.get("last_login"),
        locale=user.get("locale"),
        identities=tuple(_identities(user.get("identities"))),
    )


def _identities(listed: object) -> list[Identity]:
    """The accounts at other providers. Auth0's own is left out: its subject is the user's id."""
    return [
        Identity(str(entry["provider"]), str(entry["user_id"]))
        for entry in objects_in(listed)
        if {"provider", "user_id"} <= entry.keys() and entry["provider"] != _OWN
    ]
