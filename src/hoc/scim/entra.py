"""Requests of Entra ID that RFC 7644 has no form for, in the form that it has.

See https://learn.microsoft.com/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups.
"""

import re
from dataclasses import replace
from typing import Any, Final, cast

from scim2_models import PatchOp, PatchOperation, Path, ScimFilter
from scim2_models.path import AttrPath, Comparison, FilterNode, LogicalExpr, Not, Present, ValuePath

from hoc.scim.user import EnterpriseUser

_ENTERPRISE: Final = str(EnterpriseUser.__schema__)
_ENTERPRISE_ATTRIBUTES: Final = frozenset(
    name.replace("_", "").lower() for name in EnterpriseUser.model_fields if name != "schemas"
)

_MAY_NAME_ENTERPRISE: Final = re.compile("|".join(_ENTERPRISE_ATTRIBUTES), re.IGNORECASE)


def standard_patch(given: "PatchOp[Any]") -> "PatchOp[Any]":
    operations = [_standard_operation(each) for each in given.operations or []]
    return given.model_copy(update={"operations": operations})


def standard_filter(given: str) -> str:
    """Raises InvalidFilterException for what is no filter, if it may name an enterprise attribute."""
    if not _MAY_NAME_ENTERPRISE.search(given):
        return given
    return str(_qualified_in(ScimFilter[Any](given).ast))


def _standard_operation(given: PatchOperation[Any]) -> PatchOperation[Any]:
    update: dict[str, Any] = {}
    if given.path is not None:
        update["path"] = _qualified_path(given.path)
    if given.op is PatchOperation.Op.remove:
        update["value"] = _without_nulls(given.value)
    return given.model_copy(update=update)


def _without_nulls(removed: object) -> object:
    """A null of an entry to remove says nothing of it, such as that of ``{"$ref": null, "value": "…"}``."""
    match removed:
        case list():
            return [_without_nulls(each) for each in cast("list[object]", removed)]
        case dict():
            entry = cast("dict[str, object]", removed)
            return {name: value for name, value in entry.items() if value is not None}
        case _:
            return removed


def _qualified_path(path: Path[Any]) -> Path[Any]:
    """``manager`` and ``urn:…:User.manager`` as ``urn:…:User:manager``."""
    text = str(path)
    if text.lower().startswith(f"{_ENTERPRISE}.".lower()):
        return type(path)(f"{_ENTERPRISE}:{text[len(_ENTERPRISE) + 1 :]}")
    is_unqualified = text.partition(".")[0].lower() in _ENTERPRISE_ATTRIBUTES
    return type(path)(f"{_ENTERPRISE}:{text}") if is_unqualified else path


def _qualified_in(node: FilterNode) -> FilterNode:
    match node:
        case LogicalExpr():
            return replace(node, terms=tuple(_qualified_in(term) for term in node.terms))
        case Not():
            return replace(node, expr=_qualified_in(node.expr))
        case Comparison():
            return replace(node, attr_path=_compared(_qualified_name(node.attr_path)))
        case Present() | ValuePath():
            return replace(node, attr_path=_qualified_name(node.attr_path))
        case _:
            return node


def _qualified_name(path: AttrPath) -> AttrPath:
    is_unqualified = path.uri is None and path.attr.lower() in _ENTERPRISE_ATTRIBUTES
    return replace(path, uri=_ENTERPRISE) if is_unqualified else path


def _compared(path: AttrPath) -> AttrPath:
    """A manager is compared by the id: ``manager eq "…"`` means ``manager.value eq "…"``."""
    is_manager = (
        path.uri is not None and path.uri.lower() == _ENTERPRISE.lower() and path.attr.lower() == "manager"
    )
    return replace(path, sub_attr="value") if is_manager and path.sub_attr is None else path
