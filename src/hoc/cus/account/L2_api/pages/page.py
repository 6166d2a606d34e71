"""One page: its path, who may open it, and the handler that says what it shows."""

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Generic, Self, TypeAlias

from typing_extensions import TypeVar

from hoc.cus.account.L2_api.bodies import Body, Query
from hoc.cus.account.L2_api.operations import MEMBER, READ, Opens, Requires
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.values import Role

BodyT = TypeVar("BodyT", bound=Body | None, default=None)
QueryT = TypeVar("QueryT", bound=Query | None, default=None)

TENANT_PATH = "/projects/{tenant_id}"
"""What the path of a tenant's page begins with."""


def _everybody(_role: Role) -> bool:
    return True


def managers(role: Role) -> bool:
    """The roles that manage members."""
    return role.can_manage_users


@dataclass(frozen=True, slots=True)
class Nav:
    """A page's entry in the navigation. ``icon`` is one of `icons.html`; ``only`` says which roles see it."""

    label: str
    icon: str
    only: Callable[[Role], bool] = _everybody


@dataclass(slots=True)
class Page(Generic[BodyT, QueryT]):
    """One page, or what one form does; as a decorator, it takes its handler.

    Args:
        path: below the mount point. That of a `MEMBER` page is below the tenant's, `TENANT_PATH`.
        requires: `MEMBER` of the tenant in the path, `CALLER` for any signed-in person, `NOTHING`.
        scopes: the caller needs one of these.
        opens: the session that the handler runs in.
        body: the form's fields. A type of `bodies.py` that a JSON route has serves, too.
        query: the parameters of the URL. No address, name or token belongs into one.
        again: the page that shows the form again, with the reasons of a refusal beside its fields.
        nav: its entry in the navigation.
        queues_work: the handler's transaction may queue a mail, or a domain to be checked.
    """

    method: str
    path: str
    _: KW_ONLY
    requires: Requires = MEMBER
    scopes: tuple[str, ...] = ()
    opens: Opens = READ
    body: type[BodyT] | None = None
    query: type[QueryT] | None = None
    again: "AnyPage | None" = None
    nav: Nav | None = None
    queues_work: bool = False
    handler: Callable[[View[BodyT, QueryT]], Awaitable[Answer]] = field(init=False)

    def __call__(self, handler: Callable[[View[BodyT, QueryT]], Awaitable[Answer]]) -> Self:
        self.handler = handler
        return self

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def full_path(self) -> str:
        return TENANT_PATH + self.path if self.requires is MEMBER else self.path


AnyPage: TypeAlias = Page[Any, Any]
