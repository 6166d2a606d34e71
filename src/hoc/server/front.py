"""What this server is and where its parts are: ``GET /`` and ``GET /docs``."""

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from hoc.cus.account.L2_api.html_page import page, table
from hoc.distribution import installed_version

_TITLE = "hoc: the accounts of a multi-tenant product"
_HEADERS = {"Vary": "Accept"}


def front_routes(places: Mapping[str, str]) -> list[Route]:
    """Both paths, because a browser gets the console's pages at `/` where they are served.

    ``places`` are paths by what is there. A browser gets a page, and a program JSON.
    """

    async def front(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            rows = (
                (escape(name), f'<a href="{escape(path)}">{escape(path)}</a>')
                for name, path in places.items()
            )
            return page(
                _TITLE, f"<p>Version {installed_version()}</p>", table(("", ""), rows), headers=_HEADERS
            )
        return JSONResponse(
            {"name": "hoc", "version": installed_version(), "paths": dict(places)}, headers=_HEADERS
        )

    return [Route(path, front, methods=["GET"]) for path in ("/", "/docs")]


def mount_point_routes(mount_path: str) -> list[Route]:
    """The root of the JSON routes, at which there is nothing, leads to `/`, which says where things are."""

    async def lead(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/")

    return [Route(path, lead, methods=["GET"]) for path in (mount_path, f"{mount_path}/") if mount_path]
