"""Conditional requests (RFC 9110, section 13).

An ``ETag`` is the resource's version, a checksum of what is shown, and a checksum of both and of whose they
are. What is shown may change without the version: a member's last sign-in, a project's usage. A change with
``If-Match`` takes the tags that were handed out for its resource, and compares their version, so that only
another change makes them stale. A read compares the whole tag.
"""

import re
from typing import Final
from zlib import crc32

from starlette.requests import Request
from starlette.responses import Response

from hoc.cus.account.L5_schemas.errors import InvalidInputError, StaleVersionError

MAX_TAGS: Final = 20
_ANY: Final = "*"
_CONDITIONS: Final = frozenset({b"if-match", b"if-none-match"})
_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_OWN: Final = re.compile(r'"(?P<start>(?P<version>[0-9]{1,9})\.[0-9a-f]{8})\.(?P<check>[0-9a-f]{8})"')
_KEPT: Final = frozenset({b"etag", b"cache-control", b"vary"})
_OTHER_VERSION: Final = "If-Match names no version of this resource. Read it again."


def etag(version: int, body: bytes, resource: str) -> bytes:
    """The tag of what is shown of a resource. ``resource`` tells the resource from every other one."""
    start = b"%d.%08x" % (version, crc32(body))
    return b'"%b.%08x"' % (start, _check(start, resource))


def expected_versions(request: Request, resource: str) -> list[int] | None:
    """The versions of the resource that a change may be made to, as ``If-Match`` names them; None for any.

    Raises StaleVersionError when the conditions allow no version, InvalidInputError for too many tags.
    """
    _refuse_existing(request)
    unwanted = _field(request, "if-none-match")
    if unwanted is not None and any(_OWN.fullmatch(opaque) for _, opaque in _tags(unwanted)):
        # Whether it is the current version would be known only after the change.
        raise StaleVersionError("If-None-Match names a version. Send the one that you change as If-Match.")
    given = _field(request, "if-match")
    if given is None or given == _ANY:
        return None
    tags = [own for tag in _strong(_tags(given)) if (own := _OWN.fullmatch(tag))]
    versions = {
        int(tag["version"])
        for tag in tags
        if int(tag["check"], 16) == _check(tag["start"].encode(), resource)
    }
    if not versions:
        raise StaleVersionError(_OTHER_VERSION)
    return sorted(versions)


def check_without_version(request: Request) -> None:
    """Refuse a change on condition of a tag, of a resource that has none. Raises StaleVersionError."""
    if request.method != "POST":  # a POST is about what it makes or does, not about what is at its path
        _refuse_existing(request)
    if _field(request, "if-match") not in {None, _ANY}:
        raise StaleVersionError("If-Match names a version, and this resource has none. Leave If-Match out.")


def answer_to_read(request: Request, response: Response) -> Response:
    """The response, or a 304 without a body when ``If-None-Match`` has its tag.

    Raises StaleVersionError when ``If-Match`` does not have it.
    """
    if _CONDITIONS.isdisjoint(dict(request.scope["headers"])):  # most reads, so it must be quick
        return response
    tag = response.headers.get("etag")
    wanted = _field(request, "if-match")
    if wanted is not None and wanted != _ANY and tag not in _strong(_tags(wanted)):
        raise StaleVersionError(_OTHER_VERSION)
    known = _field(request, "if-none-match")
    if known is None or (known != _ANY and tag not in {opaque for _, opaque in _tags(known)}):
        return response
    unchanged = Response(status_code=304)
    unchanged.raw_headers = [header for header in response.raw_headers if header[0] in _KEPT]
    return unchanged


def _check(start: bytes, resource: str) -> int:
    return crc32(resource.encode("utf-8", "surrogatepass"), crc32(start))


def _refuse_existing(request: Request) -> None:
    if _field(request, "if-none-match") == _ANY:
        raise StaleVersionError(
            "If-None-Match: * asks for a resource that does not exist, and this one does."
        )


def _field(request: Request, name: str) -> str | None:
    """The header's value, of several lines as one list (RFC 9110, section 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines).strip() if lines else None


def _tags(listed: str) -> list[tuple[str, str]]:
    """Pairs of ``W/`` or nothing, and the tag with its quotes. A list that is none has no tags."""
    tags: list[tuple[str, str]] = []
    end = 0
    for found in _TAG.finditer(listed):
        between = listed[end : found.start()]
        if between.strip(" \t,") or (tags and "," not in between):
            return []
        tags.append((found[1] or "", found[2]))
        end = found.end()
    if listed[end:].strip(" \t,"):
        return []
    if len(tags) > MAX_TAGS:
        raise InvalidInputError(f"A condition lists more than {MAX_TAGS} tags.")
    return tags


def _strong(tags: list[tuple[str, str]]) -> list[str]:
    return [opaque for weak, opaque in tags if not weak]
