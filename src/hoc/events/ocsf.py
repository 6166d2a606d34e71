"""Events in the Open Cybersecurity Schema Framework (OCSF), which systems for security events read."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from hoc.cus.account.L5_schemas.scim import is_directory
from hoc.distribution import installed_version

OCSF_VERSION: Final = "1.8.0"

_IDENTITY_MANAGEMENT: Final = 3
_ACCOUNT_CHANGE, _ENTITY_MANAGEMENT, _USER_ACCESS = 3001, 3004, 3005
_OTHER: Final = 99
_INFORMATIONAL: Final = 1
_SUCCESS: Final = 1

_ACCOUNT_ACTIVITIES: Final = {"user.created": 1, "user.deleted": 6, "user.erased": 6}
_ENABLE, _DISABLE = 2, 5
_ACCESS_ACTIVITIES: Final = {
    "member.joined": 1,
    "member.role_changed": 1,
    "member.removed": 2,
    "member.left": 2,
}
_CREATE, _UPDATE, _DELETE = 1, 3, 4
_ENTITY_ACTIVITIES: Final = {
    **dict.fromkeys(["created", "claimed", "offered", "requested", "recorded", "token_created"], _CREATE),
    **dict.fromkeys(["deleted", "removed", "erased", "revoked", "token_revoked", "canceled"], _DELETE),
}
"""By what a type says after its dot. All others are updates."""
_ENTITY_IDS: Final = ("invitation_id", "ticket_id", "endpoint_id", "token_id", "domain", "group", "user_id")

# The schema's own pattern. The address of an account can have more characters.
_ADDRESS: Final = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+")


def ocsf_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as OCSF has it.

    What happens to accounts is an Account Change, memberships and roles are User Access Management, and the
    rest is Entity Management. The event's own data is in ``unmapped``.

    Args:
        event: with ``sequence``, ``event_id``, ``type``, ``time`` in ISO 8601, ``tenant_id``, ``user_id``,
            ``actor`` and ``data``.
    """
    kind, data = str(event["type"]), event["data"]
    if kind.startswith("user."):
        class_uid, activity, about = _ACCOUNT_CHANGE, _account_activity(kind, data), _about_user(event)
    elif kind in _ACCESS_ACTIVITIES:
        privileges = {"privileges": [data["role"]]}
        class_uid, activity, about = _USER_ACCESS, _ACCESS_ACTIVITIES[kind], _about_user(event) | privileges
    else:
        class_uid, activity, about = _ENTITY_MANAGEMENT, _entity_activity(kind), {"entity": _entity(event)}
    return {
        "category_uid": _IDENTITY_MANAGEMENT,
        "class_uid": class_uid,
        "activity_id": activity,
        "activity_name": kind,
        "type_uid": class_uid * 100 + activity,
        "severity_id": _INFORMATIONAL,
        "status_id": _SUCCESS,
        "time": round(datetime.fromisoformat(event["time"]).timestamp() * 1_000),
        "metadata": _metadata(event),
        **_actor(event["actor"]),
        **about,
        "unmapped": data,
    }


def _account_activity(kind: str, data: Mapping[str, Any]) -> int:
    if kind == "user.status_changed":
        return _ENABLE if data["is_active"] else _DISABLE
    return _ACCOUNT_ACTIVITIES.get(kind, _OTHER)


def _entity_activity(kind: str) -> int:
    return _ENTITY_ACTIVITIES.get(kind.partition(".")[2], _UPDATE)


def _entity(event: Mapping[str, Any]) -> dict[str, Any]:
    data = event["data"]
    ids = [data[name] for name in _ENTITY_IDS if data.get(name)]
    noun = event["type"].partition(".")[0]
    return {"uid": event["tenant_id"] if noun == "tenant" or not ids else ids[0], "type": noun}


def _about_user(event: Mapping[str, Any]) -> dict[str, Any]:
    user = {"uid": event["user_id"]}
    if name := event["data"].get("name"):
        user["name"] = name
    if _ADDRESS.fullmatch(address := event["data"].get("email") or ""):
        user["email_addr"] = address
    return {"user": user}


def _actor(actor: str | None) -> dict[str, Any]:
    if actor is None:
        return {}
    return {"actor": {"app_uid": actor} if is_directory(actor) else {"user": {"uid": actor}}}


@cache
def _product() -> dict[str, str]:
    return {"name": "hoc", "version": installed_version()}


def _metadata(event: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        "version": OCSF_VERSION,
        "product": _product(),
        "uid": event["event_id"],
        "event_code": event["type"],
        "sequence": event["sequence"],
    }
    tenant_id = event["tenant_id"]
    return metadata if tenant_id is None else metadata | {"tenant_uid": tenant_id}
