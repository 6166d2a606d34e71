"""What surrounds each page of a signed-in person: the account, the tenant, and the tenants to switch to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hoc.cus.account.L5_schemas.port_types import Access, Subject


@dataclass(frozen=True, slots=True)
class FrameMembership:
    tenant_id: str
    tenant_name: str
    role: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Of a subject's account, as of now. What is personal is None unless the account is active.

    ``user_id`` is None for a subject of another than the primary issuer that is linked to no account.
    ``memberships`` are the first ones, and ``has_more`` says that there are more. ``access`` is that to the
    tenant that was asked about, None without a tenant and for whoever is no member; the tenant's name is
    empty then.
    """

    user_id: str | None
    name: str | None
    email: str | None
    timezone: str | None
    memberships: Sequence[FrameMembership]
    has_more: bool
    access: Access | None
    tenant_name: str


FrameFetch: TypeAlias = Callable[[Any, Subject, str | None], Awaitable[Frame]]
"""Reads the frame of a subject in a session, and its access to a tenant if there is one: one statement."""
