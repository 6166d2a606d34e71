"""The form in which values are compared: kept beside each resource, so that PostgreSQL never folds text."""

import base64
import unicodedata
from typing import Any, cast

from scim2_models import AttributeBinding, BaseModel, CaseExact, Extension, InvalidFilterException, Resource
from scim2_models.path import Comparison, coerce_value

# Not among the values: they are columns, other tables' rows, or nothing to compare.
LEFT_OUT = frozenset({"id", "meta", "password", "groups", "members"})


def compared(resource: Resource[Any]) -> dict[str, Any]:
    """The resource's values as filters compare them, by the names of scim2-models.

    Those of an extension are below its URN. Absent values are left out.
    """
    values = {
        name: value
        for name in type(resource).model_fields
        if name not in LEFT_OUT and (value := _value(resource, name)) is not None
    }
    extensions = {
        str(type(given).__schema__): _complex(given)
        for name in type(resource).model_fields
        if isinstance(given := getattr(resource, name), Extension)
    }
    return values | extensions


def folded(value: Any, *, case_exact: bool) -> Any:  # noqa: ANN401 - a value of any attribute
    """As `scim2_models.default_comparison_key` has it, and binary values as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not isinstance(value, str):
        return value
    text = unicodedata.normalize("NFC", value)
    return text if case_exact else unicodedata.normalize("NFC", text.lower())


def operand(binding: AttributeBinding, comparison: Comparison) -> Any:  # noqa: ANN401 - see above
    """What a filter compares an attribute with, in the same form. Raises InvalidFilterException."""
    given = folded(coerce_value(binding, comparison.value, comparison.op), case_exact=binding.case_exact)
    if isinstance(given, str) and not is_storable(given):
        raise InvalidFilterException(detail="The filter contains a character that no value can have.")
    return given


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _complex(model: BaseModel) -> dict[str, Any]:
    names = (name for name in type(model).model_fields if name != "schemas")
    return {name: value for name in names if (value := _value(model, name)) is not None}


def _value(model: BaseModel, name: str) -> Any:  # noqa: ANN401 - see above
    given = getattr(model, name)
    if isinstance(given, Extension):
        return None
    case_exact = type(model).get_field_annotation(name, CaseExact) == CaseExact.true
    if isinstance(given, list):
        return [_element(each, case_exact=case_exact) for each in cast("list[object]", given)]
    return None if given is None else _element(given, case_exact=case_exact)


def _element(given: Any, *, case_exact: bool) -> Any:  # noqa: ANN401 - see above
    return _complex(given) if isinstance(given, BaseModel) else folded(given, case_exact=case_exact)
