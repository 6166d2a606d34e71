"""The routes of the OpenAPI and AsyncAPI documents, and of the pages that show them to people."""

from collections.abc import Sequence
from functools import cache, partial

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.documentation import documentation_route
from hoc.cus.account.L2_api.openapi import CACHED_DOCUMENT, openapi_document, openapi_route
from hoc.cus.account.L2_api.operations import AnyOperation
from hoc.distribution import installed_version
from hoc.events.asyncapi import asyncapi_document


def openapi_routes(operations: Sequence[AnyOperation], *, title: str, with_page: bool) -> list[Route]:
    document = partial(openapi_document, operations, title=title, version=installed_version())
    routes = [openapi_route(operations, title=title, version=installed_version())]
    if with_page:
        routes.append(documentation_route("/docs", "openapi.json", lambda server: document(server=server)))
    return routes


def asyncapi_routes(*, with_page: bool) -> list[Route]:
    routes = [Route("/asyncapi.json", _asyncapi)]
    if with_page:
        page = documentation_route("/asyncapi/docs", "../asyncapi.json", lambda _server: asyncapi_document())
        routes.append(page)
    return routes


@cache
def _asyncapi_document() -> bytes:
    return orjson.dumps(asyncapi_document())


async def _asyncapi(_request: Request) -> Response:
    return Response(_asyncapi_document(), headers=CACHED_DOCUMENT, media_type="application/json")
