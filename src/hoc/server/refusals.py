"""What `hoc serve` answers to what is no request, or too large, too slow or too much to become one."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from hoc.cus.account.L2_api.problems import MEDIA_TYPE, problem_document
from hoc.cus.account.L2_api.request_ids import new_request_id


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is the metric's label."""

    reason: str
    status: int
    code: str
    detail: str


MALFORMED: Final = Refusal(
    "malformed", 400, code="malformed_request", detail="The request is not well-formed HTTP/1.1."
)


def answer_to(refusal: Refusal, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The refusal as a problem document with an id, after which the connection is closed."""
    request_id = new_request_id()
    body = problem_document(refusal.status, refusal.code, refusal.detail, request_id=request_id)
    fields = [
        *headers,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
    ]
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append((b"retry-after", b"1"))
    lines = [name + b": " + value + b"\r\n" for name, value in fields]
    return b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body])
