"""The style sheet and the script, under names that change with their content."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.pages.look import accent_style

_OWN: Final = Path(__file__).with_name("static")
_TYPES: Final = {".css": "text/css", ".js": "text/javascript"}
_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


class StaticFiles:
    """The files of `static/`. The accent colour is part of the style sheet."""

    def __init__(self, *, accent: str) -> None:
        self._files: dict[str, bytes] = {}
        self.paths: dict[str, str] = {}
        for name in ("console.css", "console.js"):
            content = (_OWN / name).read_bytes()
            if name.endswith(".css"):
                content = accent_style(accent).encode() + content
            stem, dot, ending = name.partition(".")
            hashed = f"{stem}.{sha256(content).hexdigest()[:12]}{dot}{ending}"
            self._files[hashed] = content
            self.paths[name] = f"/static/{hashed}"

    def route(self) -> Route:
        return Route("/static/{name}", self._serve, methods=["GET"], name="static")

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404)
        return Response(content, headers=_KEPT, media_type=_TYPES[Path(name).suffix])
