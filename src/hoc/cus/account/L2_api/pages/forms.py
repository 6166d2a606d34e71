"""Forms and query strings as typed values."""

from collections.abc import Iterable
from typing import TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from hoc.cus.account.L2_api.problems import invalid_fields
from hoc.cus.account.L2_api.request import MAX_BODY_BYTES, ReceivedRequest
from hoc.cus.account.L5_schemas.errors import InvalidInputError

ModelT = TypeVar("ModelT", bound=BaseModel)

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 500


def form_fields(request: ReceivedRequest) -> list[tuple[str, str]]:
    """The fields that a form sent, in its order. Raises HTTPException 413 or 415."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != FORM:
        raise HTTPException(415, f"Send the form as {FORM}.")
    if len(request.received) > MAX_BODY_BYTES:
        raise HTTPException(413, f"A form must not exceed {MAX_BODY_BYTES} bytes.")
    try:
        return parse_qsl(
            request.received.decode(),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise InvalidInputError("The form is not valid text, or has too many fields.") from None


def parse(fields: Iterable[tuple[str, str]], model: type[ModelT], *, prefix: str) -> ModelT:
    """The fields as a ``model``. A blank one counts as not given if the model does not need it.

    Raises InvalidInputError with a pointer for each bad field, which begins with ``prefix``.
    """
    given: dict[str, str | list[str]] = {}
    for name, value in fields:
        known = model.model_fields.get(name)
        if known is not None and get_origin(known.annotation) is list:
            listed = given.setdefault(name, [])
            if isinstance(listed, list):
                listed.append(value)
        elif value or known is None or known.is_required():
            given[name] = value
    try:
        return model.model_validate(given, strict=False)
    except ValidationError as refusal:
        raise invalid_fields(refusal, prefix) from None
