"""scim2-server's protocol, with hoc's errors and bounds."""

from typing import Any, cast

from scim2_models import (
    Context,
    Error,
    InvalidFilterException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
)
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from hoc.scim.errors import error_of
from hoc.scim.filters import MAX_LENGTH
from hoc.scim.provider import PROVIDER


class TenantService(ScimService):
    """``secret``: of the cursors. Each token has its own, so only the token that got a cursor can use it."""

    def __init__(self, secret: bytes | str) -> None:
        super().__init__(PROVIDER, secret=secret)

    @staticmethod
    def error_of(exception: Exception) -> Error:
        return error_of(exception)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """200 with the resource, as Okta and others expect; 204 would be as right."""
        return self.resource_response(
            self.publish(base_url, resource), Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters
        )

    def read_search(
        self,
        resource_types: list[ResourceType],
        payload: Any,  # noqa: ANN401 - as of the library
    ) -> tuple[SearchRequest[Any], Any]:
        given: object = (
            cast("dict[str, object]", payload).get("filter") if isinstance(payload, dict) else None
        )
        if isinstance(given, str) and len(given) > MAX_LENGTH:
            raise InvalidFilterException(detail=f"A filter may have {MAX_LENGTH} characters at most.")
        return super().read_search(resource_types, payload)
