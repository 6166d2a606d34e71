"""Examples for the OpenAPI document, made from its schemas: a value for each field, by name or type."""

from typing import Any, Final

from hoc.cus.account.L2_api.openapi_schemas import Schema

_VALUES: Final[dict[str, Any]] = {
    "actor": "usr_ada",
    "after": 0,
    "amount_cents": 4900,
    "author_id": "usr_ada",
    "author_name": "Ada Lovelace",
    "avatar_url": "https://example.com/ada.png",
    "category": "billing",
    "code": "not_found",
    "cursor": "WyIyMDI2LTAxLTMxIl0",
    "data": {"user_id": "usr_eve", "tenant_id": "ten_1", "role": "member"},
    "description": "The first project",
    "detail": "There is no such object.",
    "display_name": "Ada Lovelace",
    "domain": "example.com",
    "email": "ada@example.com",
    "endpoint_id": "wh_1",
    "event_id": "0199f3a2-7d64-7c1a-9e1f-3a1f6a1f6a1f",
    "expires_in_days": 7,
    "filters_applied": {"tenant_id": "ten_1"},
    "from_user_id": "usr_ada",
    "group": "Engineers",
    "has_more": False,
    "hosted_url": "https://billing.example.com/invoices/in_2026_01",
    "hours": "Monday to Friday, 09:00 to 17:00 UTC",
    "id": "inv_1",
    "invitation_id": "inv_1",
    "invited_by": "usr_ada",
    "inviter_name": "Ada Lovelace",
    "invoice_id": "in_2026_01",
    "is_active": True,
    "issuer": "https://issuer.example.com",
    "locale": "en-GB",
    "message": "Done",
    "metadata": {"cost_centre": "4711"},
    "name": "Ada Lovelace",
    "next_cursor": "WyIyMDI2LTAxLTMxIl0",
    "number": "2026-0001",
    "oauth_provider": "google",
    "onboarding_state": 4,
    "page": 1,
    "page_size": 50,
    "pdf_url": "https://billing.example.com/invoices/in_2026_01.pdf",
    "plan": "pro",
    "portal_url": "https://billing.example.com/portal/ten_1",
    "preferences": {"theme": "dark"},
    "priority": "medium",
    "project_id": "ten_1",
    "provider": "google",
    "query": "ada",
    "reason": "asked to",
    "record_name": "_hoc-challenge.example.com",
    "record_value": "hoc-verification=c2VjcmV0",
    "request_id": "0199f3a2",
    "response_time": "Within one business day",
    "resolution": "The invoice was sent again.",
    "role": "member",
    "search": "ada",
    "slug": "first-project",
    "subject": "Invoice of January",
    "tenant_id": "ten_1",
    "tenant_name": "First project",
    "text": "Which invoice is it?",
    "ticket_id": "tkt_1",
    "timezone": "Europe/London",
    "to_user_id": "usr_eve",
    "token": "inv_1.c2VjcmV0",
    "total": 1,
    "type": "member.joined",
    "usage_this_period": {"runs": 12, "tokens": 34_000},
    "user_id": "usr_eve",
}
_PLAIN: Final[dict[str, Any]] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
    "object": {},
}


def example_of(schema: Schema, named: dict[str, Schema], name: str = "") -> Any:  # noqa: ANN401 - any JSON
    """A value that the schema allows; ``name`` is the field's."""
    match schema:
        case {"$ref": str(where)}:
            example = example_of(named[where.rpartition("/")[2]], named, name)
        case {"anyOf": [first, *_]}:
            example = example_of(first, named, name)
        case {"enum": [first, *rest]}:
            example = _VALUES[name] if _VALUES.get(name) in rest else first
        case {"properties": dict()} if schema["properties"]:
            fields: dict[str, Schema] = schema["properties"]
            example = {field: example_of(given, named, field) for field, given in fields.items()}
        case {"type": "array", "items": items}:
            example = [example_of(items, named, name)]
        case {"format": "date"}:
            example = "2026-01-31"
        case {"format": "date-time"}:
            example = "2026-01-31T12:00:00Z"
        case _ if name in _VALUES:
            example = _VALUES[name]
        case {"type": [kind, *_] | str(kind)}:
            example = _PLAIN[kind]
        case _:
            example = None
    return example
