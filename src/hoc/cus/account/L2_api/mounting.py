"""Paths of frameworks that do not mount an application as the ASGI specification says."""

from urllib.parse import unquote

from starlette.types import Scope


def without_appended_slash(scope: Scope) -> Scope:
    """The scope with the path that the client sent, if a framework cut off the mount point and appended `/`.

    Litestar does so. A path that the client ended with `/` stays as it is.
    """
    sent = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1"))
    below = scope["path"].removesuffix("/")
    if sent.endswith("/") or not sent.endswith(below) or scope.get("root_path"):
        return scope
    return {**scope, "path": sent, "root_path": sent.removesuffix(below)}
