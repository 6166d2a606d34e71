"""The pages at `/`, beside what is about the service."""

from starlette.types import Receive, Scope, Send

from hoc.cus.account.L2_api.app import Api


class PagesBeside:
    """Passes requests to ``about`` for its paths, and all others to ``pages``, as a browser's for `/`."""

    def __init__(self, about: Api, pages: Api) -> None:
        self._about = about
        self._pages = pages
        self._paths = {route.path for route in about.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_about = scope["type"] == "http" and self._is_about(scope)
        await (self._about if is_about else self._pages)(scope, receive, send)

    def _is_about(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == "/":
            return not any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
        return path in self._paths
