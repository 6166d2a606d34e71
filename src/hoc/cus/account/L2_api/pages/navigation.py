"""The navigation beside each page, from the pages that have an entry in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from hoc.cus.account.L2_api.operations import MEMBER
from hoc.cus.account.L2_api.pages.page import TENANT_PATH, AnyPage, Nav
from hoc.cus.account.L2_api.pages.view import AnyView


@dataclass(frozen=True, slots=True)
class Section:
    """``label`` is empty for the tenant's own pages, whose name is above them. ``entries`` are list items."""

    label: str
    entries: Markup


@dataclass(frozen=True, slots=True)
class _Entry:
    page: AnyPage
    nav: Nav
    shown: Markup


class Navigation:
    """Of a tenant's pages, those that the caller's role has a use for; then one's own; then an operator's."""

    def __init__(self, pages: Sequence[AnyPage], icons: Mapping[str, Markup]) -> None:
        entered = [
            _Entry(page, page.nav, icons[page.nav.icon] + page.nav.label)
            for page in pages
            if page.nav is not None
        ]
        self._tenant = [each for each in entered if each.page.requires is MEMBER]
        self._own = [each for each in entered if each.page.requires is not MEMBER and not each.page.scopes]
        self._admin = [each for each in entered if each.page.scopes]

    def of(self, view: AnyView, path: str, root: str) -> list[Section]:
        if view.frame is None:
            return []
        here = path.removeprefix(root)
        sections: list[Section] = []
        if (access := view.frame.access) is not None:
            tenant = [each for each in self._tenant if each.nav.only(access.role)]
            sections.append(
                Section("", _items(tenant, root, TENANT_PATH.format(tenant_id=access.tenant_id), here))
            )
        sections.append(Section("You", _items(self._own, root, "", here)))
        admin = [each for each in self._admin if not set(each.page.scopes).isdisjoint(view.scopes)]
        if admin:
            sections.append(Section("Administration", _items(admin, root, "", here)))
        return sections


def _items(entries: Iterable[_Entry], root: str, base: str, here: str) -> Markup:
    """List items. Not a loop in a template, which looks up and escapes each value on each page."""
    place = escape(root + base)
    return Markup(  # noqa: S704 - the place is escaped, and pages are named in the code
        "\n".join(
            f'<li><a href="{place}{each.page.path}"{_mark(here, base + each.page.path)}>{each.shown}</a></li>'
            for each in entries
        )
    )


def _mark(here: str, path: str) -> str:
    return ' aria-current="page"' if here == path or here.startswith(f"{path}/") else ""
