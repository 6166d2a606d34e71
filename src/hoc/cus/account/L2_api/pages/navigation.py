"""The navigation beside each page, from the pages that have an entry in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from hoc.cus.account.L2_api.operations import MEMBER
from hoc.cus.account.L2_api.pages.page import TENANT_PATH, AnyPage, Nav
from hoc.cus.account.L2_api.pages.view import AnyView


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    icon: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Section:
    """``label`` is empty for the tenant's own pages, whose name is above them."""

    label: str
    entries: Sequence[Entry]


class Navigation:
    """Of a tenant's pages, those that the caller's role has a use for; then one's own; then an operator's."""

    def __init__(self, pages: Sequence[AnyPage]) -> None:
        entered = [(page, page.nav) for page in pages if page.nav is not None]
        self._tenant = [each for each in entered if each[0].requires is MEMBER]
        self._own = [each for each in entered if each[0].requires is not MEMBER and not each[0].scopes]
        self._admin = [each for each in entered if each[0].scopes]

    def of(self, view: AnyView, path: str, root: str) -> list[Section]:
        if view.frame is None:
            return []
        here = path.removeprefix(root)
        access = view.frame.access
        tenant = [] if access is None else [each for each in self._tenant if each[1].only(access.role)]
        tenant_id = None if access is None else access.tenant_id
        admin = [each for each in self._admin if not set(each[0].scopes).isdisjoint(view.scopes)]
        sections = (("", tenant), ("You", self._own), ("Administration", admin))
        return [
            Section(label, [_entry(page, nav, here, tenant_id, root) for page, nav in pages])
            for label, pages in sections
            if pages
        ]


def _entry(page: AnyPage, nav: Nav, here: str, tenant_id: str | None, root: str) -> Entry:
    path = page.full_path
    if tenant_id is not None and path.startswith(TENANT_PATH):
        path = path.replace("{tenant_id}", tenant_id)
    return Entry(nav.label, nav.icon, root + path, here == path or here.startswith(f"{path}/"))
