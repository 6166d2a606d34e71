"""What a page's handler works with, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeAlias
from urllib.parse import quote, urlencode

from starlette.requests import Request
from typing_extensions import TypeVar

from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.pages.formatting import sentence
from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.errors import AccountsError, StaleVersionError
from hoc.cus.account.L5_schemas.frames import Frame
from hoc.cus.account.L5_schemas.values import Role

BodyT = TypeVar("BodyT", default=None)
QueryT = TypeVar("QueryT", default=None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a form was refused: of the whole form, and by the name of a field. ``given`` is what was sent."""

    error: AccountsError
    given: Mapping[str, str]

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with each field."""
        return {each.pointer.lstrip("/?"): each.detail for each in self.error.problems}

    def about(self, name: str, stored: object) -> tuple[str, str]:
        """What was sent as a field, and what is wrong with it: a problem, or what is stored meanwhile."""
        given, wrong = self.given.get(name, str(stored)), self.fields.get(name, "")
        if wrong:
            return given, sentence(wrong)
        is_other = self.is_stale and given.replace("\r", "") != str(stored)
        return given, f"Stored now: {stored or 'nothing'}" if is_other else ""

    @property
    def is_stale(self) -> bool:
        """Whether another change came between the form and its sending."""
        return isinstance(self.error, StaleVersionError)

    @property
    def message(self) -> str:
        """What is wrong with the whole, empty if the form's fields say it."""
        if self.is_stale:
            return (
                "Somebody, or you in another window, changed this meanwhile. Nothing was saved. Compare what"
                " you wrote with what is stored now, and save it again."
            )
        is_said = self.fields and self.fields.keys() <= self.given.keys()
        return "" if is_said else self.error.message


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, from a template and its values."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie for the pages alone, which no script reads. ``seconds`` is 0 to delete it."""

    name: str
    value: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page to go on to, which shows the message once. ``path`` begins at the mount point."""

    path: str
    message: str = ""
    cookie: Cookie | None = None


Answer: TypeAlias = Shown | Redirect


@dataclass(slots=True)
class View(Call[BodyT, QueryT], Generic[BodyT, QueryT]):
    """One opened page. The caller's tenant is that of the path.

    ``fields`` are those of the form that was sent, ``body`` the same as the page declares them. ``refusal``
    is set when a refused form is shown again. ``frame`` is None in a public page.
    """

    _: KW_ONLY
    request: Request
    accounts: AccountsFacade
    identity: AccountService
    fields: Sequence[tuple[str, str]] = ()
    frame: Frame | None = None
    refusal: Refusal | None = None

    @property
    def role(self) -> Role:
        """The caller's role in the tenant."""
        if self.frame is None or self.frame.access is None:
            raise RuntimeError("Only a page that requires MEMBER has a role.")
        return self.frame.access.role

    def path_of(self, *steps: str, **parameters: str | int | None) -> str:
        """A path below the tenant's, to link or to go to: ``view.path_of("members", user_id)``."""
        return path_to("projects", self.tenant_id, *steps, **parameters)

    def admin_path(self, *steps: str, **parameters: str | None) -> str:
        """A path of the pages for those who operate the product."""
        return path_to("admin", *steps, **parameters)

    def list_path(self, path: str, asked: Mapping[str, str | None], cursor: str | None) -> str:
        """Where a page of a list is. A search is sent to ``…/search``, its list without one is above."""
        given = {name: value for name, value in {**asked, "cursor": cursor}.items() if value is not None}
        path = path.removesuffix("/search")
        return f"{path}?{urlencode(given)}" if given else path

    def tenant_path(self, tenant_id: str) -> str:
        """Where a switch to another tenant leads."""
        return path_to("projects", tenant_id, "members")

    def show(self, template: str, title: str, **values: object) -> Shown:
        """The page of a template; ``title`` is its heading and the document's title."""
        return Shown(template, {"title": title, **values})

    def confirm(
        self, title: str, text: str, *, action: str, label: str, back: str, danger: bool = True
    ) -> Shown:
        """A page that asks before something is done: ``action`` is where its form is sent."""
        values = {"text": text, "action": action, "label": label, "back": back, "danger": danger}
        return self.show("confirm.html", title, **values)

    def go(self, path: str, message: str = "", *, cookie: Cookie | None = None) -> Redirect:
        """On to another page after a change, which says what was done."""
        return Redirect(path, message, cookie)


def path_to(*steps: str, **parameters: str | int | None) -> str:
    """A path below the mount point. A parameter that is None is left out."""
    given = {name: value for name, value in parameters.items() if value is not None}
    path = "/" + "/".join(quote(step, safe="") for step in steps)
    return f"{path}?{urlencode(given)}" if given else path


AnyView: TypeAlias = View[Any, Any]
