"""scim2-server's protocol, with hoc's errors and bounds."""

from dataclasses import replace
from typing import Any, cast

from scim2_models import (
    Context,
    Error,
    InvalidFilterException,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.storage import SearchPage

from hoc.scim.entra import standard_filter, standard_patch
from hoc.scim.errors import error_of
from hoc.scim.filters import MAX_LENGTH
from hoc.scim.pages import StoredPage
from hoc.scim.provider import PROVIDER
from hoc.scim.user import EnterpriseUser


class TenantService(ScimService):
    """``secret``: of the cursors. Each token has its own, so only the token that got a cursor can use it."""

    def __init__(self, secret: bytes | str) -> None:
        super().__init__(PROVIDER, secret=secret)

    @staticmethod
    def error_of(exception: Exception) -> Error:
        return error_of(exception)

    def apply_patch(
        self, current: Resource[Any], patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any] | None:
        return super().apply_patch(current, standard_patch(patch_op), conditions)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """200 with the resource, as Okta and others expect; 204 would be as right."""
        return self.resource_response(
            self.publish(base_url, resource), Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters
        )

    def search_response(
        self,
        base_url: str,
        resource_types: list[ResourceType],
        page: SearchPage,
        search_request: SearchRequest[Any],
    ) -> ScimResponse:
        """Resources are shown as they are stored, unless the client has chosen attributes.

        The library's own way validates and serializes each of them twice, which takes a millisecond.
        """
        chooses = search_request.attributes or search_request.excluded_attributes
        if chooses or not isinstance(page, StoredPage):
            return super().search_response(base_url, resource_types, page, search_request)
        empty = SearchPage(page.total, [], page.next, page.previous)
        answer = super().search_response(base_url, resource_types, empty, search_request)
        shown = [self._published(base_url, document) for document in page.documents]
        body = {**(answer.body or {}), "itemsPerPage": len(shown), "Resources": shown}
        return replace(answer, body=body)

    def _published(self, base_url: str, document: dict[str, Any]) -> dict[str, Any]:
        """As `publish` does it with a model."""
        resource_type = self.get_resource_type(document["meta"]["resourceType"])
        location = self.resource_location(base_url, resource_type, document["id"])
        manager = document.get(str(EnterpriseUser.__schema__), {}).get("manager", {})
        for related in (*document.get("groups", ()), *document.get("members", ()), manager):
            if "$ref" in related:
                related["$ref"] = self.reference_location(base_url, related["$ref"])
        return document | {"meta": document["meta"] | {"location": location}}

    def read_search(
        self,
        resource_types: list[ResourceType],
        payload: Any,  # noqa: ANN401 - as of the library
    ) -> tuple[SearchRequest[Any], Any]:
        if isinstance(payload, dict):
            asked = cast("dict[str, object]", payload)
            payload = {name: _bounded(name, given) for name, given in asked.items()}
        return super().read_search(resource_types, payload)


def _bounded(name: str, given: object) -> object:
    """A parameter of a search; of a filter, the standard form, unless it is too long."""
    if name.casefold() != "filter" or not isinstance(given, str):
        return given
    if len(given) > MAX_LENGTH:
        raise InvalidFilterException(detail=f"A filter may have {MAX_LENGTH} characters at most.")
    return standard_filter(given)
