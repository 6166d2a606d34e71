"""The enterprise extension (RFC 7643, section 4.3), with the manager as Entra ID sends it."""

from typing import Any

from pydantic import model_validator
from scim2_models import EnterpriseUser as StandardEnterpriseUser
from scim2_models import Manager as StandardManager


class Manager(StandardManager):
    @model_validator(mode="before")
    @classmethod
    def _of_entra(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a client gives
        """Entra ID gives the manager's id with no object around it, or the object as a list of one."""
        match given:
            case str():
                return {"value": given}
            case [one]:
                return one
            case _:
                return given


class EnterpriseUser(StandardEnterpriseUser):
    # This type reads a bare id too; once read, a manager has the standard type's fields.
    manager: Manager | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
