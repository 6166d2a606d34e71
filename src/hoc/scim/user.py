"""The schema of users (RFC 7643, sections 4.1 and 4.3), as directories fill it in."""

from typing import Any

from pydantic import Field, model_validator
from scim2_models import AnyExtension, Reference
from scim2_models import Email as StandardEmail
from scim2_models import EnterpriseUser as StandardEnterpriseUser
from scim2_models import Manager as StandardManager
from scim2_models import User as StandardUser


class Email(StandardEmail):
    # A directory also has addresses that no public mail reaches, such as ada@corp.local, and keeps them.
    value: str | None = None
    """The address."""


class User(StandardUser[AnyExtension]):
    """User Account."""

    # This type takes more texts; once read, an address has the standard type's fields.
    emails: list[Email] | None = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    """The user's addresses."""


class Manager(StandardManager):
    # Directories give the id alone. The name is that of the resource type.
    ref: Reference["User"] | None = Field(  # type: ignore[type-arg, assignment]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The address of the manager's resource."""

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
    """The user's manager."""
