"""The JSON schemas of the OpenAPI document: those of the domain's types, told to generators in full.

The types have plain strings and integers where the values are an enumeration, or may pass 32 bits.
"""

from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from hoc.cus.account.L5_schemas.values import (
    BillingPeriod,
    DomainJoining,
    DomainProblem,
    DomainStatus,
    InvitationStatus,
    InvoiceStatus,
    JoinRequestStatus,
    JoinStatus,
    Plan,
    Role,
    ScimTokenStatus,
    SubscriptionStatus,
    TenantStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
    UserStatus,
    WebhookDisabled,
    WebhookStatus,
)

Schema = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_ENUMS: Final[dict[str, type[StrEnum]]] = {
    "role": Role,
    "plan": Plan,
    "category": TicketCategory,
    "priority": TicketPriority,
    "billing_period": BillingPeriod,
    "tenant_status": TenantStatus,
    "disabled_reason": WebhookDisabled,
    "joining": DomainJoining,
    "join_role": Role,
    "problem": DomainProblem,
    "request": JoinRequestStatus,
}
_STATUSES: Final[dict[str, type[StrEnum]]] = {
    "ProjectSummaryResult": TenantStatus,
    "ExtendedProjectDetailResult": TenantStatus,
    "ChangeTenantStatus": TenantStatus,
    "UserSummaryResult": UserStatus,
    "ExtendedUserDetailResult": UserStatus,
    "ExtendedBillingSummaryResult": SubscriptionStatus,
    "ExtendedInvoiceResult": InvoiceStatus,
    "ExtendedTicketResult": TicketStatus,
    "TenantTicketResult": TicketStatus,
    "ExtendedInvitationResult": InvitationStatus,
    "TenantSummary": TenantStatus,
    "DomainResult": DomainStatus,
    "ScimTokenResult": ScimTokenStatus,
    "WebhookResult": WebhookStatus,
    "JoinResult": JoinStatus,
    "JoinRequestResult": JoinRequestStatus,
    "list_projects": TenantStatus,
    "list_all_tenants": TenantStatus,
    "list_users": UserStatus,
    "list_invitations": InvitationStatus,
    "list_invoices": InvoiceStatus,
    "list_users_of_tenant": UserStatus,
    "list_tickets": TicketStatus,
    "list_all_tickets": TicketStatus,
    "list_tickets_of_tenant": TicketStatus,
    "list_domains": DomainStatus,
    "list_join_requests": JoinRequestStatus,
}
"""What ``status`` is, in a type or as the parameter of an operation."""

_SMALL: Final = frozenset(
    {
        "onboarding_state",
        "page",
        "page_size",
        "expires_in_days",
        "limit",
        "offset",
        "status",
        "status_code",
        "latency_ms",
        "overlap_hours",
    }
)
"""The numbers that never pass 32 bits."""


def reference(model: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=model)}


class Schemas:
    """Collects the schemas that the document refers to, by their names in ``named``."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def add(self, model: Any, mode: JsonSchemaMode) -> Schema:  # noqa: ANN401 - a class, or a list of one
        """Register the model and those in it. Returns a reference, or the schema of a type without a name."""
        schema = TypeAdapter(model).json_schema(mode=mode, ref_template=_REFERENCE)
        for name, inner in schema.pop("$defs", {}).items():
            self._name(name, inner)
        if not isinstance(model, type):
            return _without_titles(schema)
        self._name(model.__name__, schema)
        return reference(model.__name__)

    def parameter(self, operation: str, name: str, schema: Schema) -> Schema:
        """The schema of a query parameter that is given: an absent one is no null."""
        [given] = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        return self._field(operation, name, {key: given[key] for key in given if key != "default"})

    def _name(self, name: str, schema: Schema) -> None:
        properties: dict[str, Schema] = schema.get("properties", {})
        schema["properties"] = {field: self._field(name, field, given) for field, given in properties.items()}
        if "description" in schema:
            schema["description"] = schema["description"].replace("``", "`")
        self.named[name] = _without_titles(schema)

    def _field(self, owner: str, name: str, schema: Schema) -> Schema:
        # A generator takes a field with a default for one that is always there.
        field = {key: value for key, value in schema.items() if key not in {"default", "title"}}
        if "anyOf" in field:
            field["anyOf"] = [self._field(owner, name, kind) for kind in field["anyOf"]]
            return field
        values = _STATUSES.get(owner) if name == "status" else _ENUMS.get(name)
        if values is not None and field.get("type") == "string":
            self.named[values.__name__] = {
                "type": "string",
                "enum": [str(value) for value in values],
                "description": (values.__doc__ or "").partition("\n")[0].replace("``", "`"),
            }
            return reference(values.__name__)
        if field.get("type") == "integer":
            field["format"] = "int32" if name in _SMALL else "int64"
        return field


def _without_titles(schema: Schema) -> Schema:
    """Without the titles that pydantic makes of names."""
    return {key: value for key, value in schema.items() if key != "title"}
