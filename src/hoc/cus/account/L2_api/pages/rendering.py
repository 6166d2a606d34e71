"""From what a handler answers to HTML."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
)
from markupsafe import Markup
from starlette.authentication import AuthenticationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hoc.cus.account.L2_api.authentication import caller_of
from hoc.cus.account.L2_api.pages.charts import CHARTS
from hoc.cus.account.L2_api.pages.formatting import FILTERS
from hoc.cus.account.L2_api.pages.look import Look
from hoc.cus.account.L2_api.pages.marks import MARKS
from hoc.cus.account.L2_api.pages.navigation import Navigation
from hoc.cus.account.L2_api.pages.page import AnyPage
from hoc.cus.account.L2_api.pages.rows import ROWS
from hoc.cus.account.L2_api.pages.security import HEADERS, Forms
from hoc.cus.account.L2_api.pages.static_files import StaticFiles
from hoc.cus.account.L2_api.pages.times import TIMES
from hoc.cus.account.L2_api.pages.view import AnyView, Redirect, Shown
from hoc.cus.account.L2_api.problems import problem_for
from hoc.cus.account.L5_schemas.errors import AccountsError, NotAuthenticatedError

_OWN: Final = Path(__file__).with_name("templates")
VIEW: Final = "hoc.view"
"""Where the scope has the view of a page that its caller may open, for a refusal within its frame."""

_NOBODYS: Final = dict.fromkeys(("view", "frame", "refusal", "message", "zone", "navigation", "csrf_token"))
_TITLES: Final = {
    400: "That did not work",
    401: "Please sign in",
    403: "You may not open this page",
    404: "There is no such page",
    410: "This is no longer valid",
    429: "Too many requests",
    503: "The service is busy",
}


ResponseT = TypeVar("ResponseT", bound=Response)


class Renderer:
    """Renders the templates of `templates/`, and those of a host that replace them.

    Raises:
        ValueError: a template of the host has an unknown name, or is wrong.
    """

    def __init__(
        self,
        look: Look,
        forms: Forms,
        static: StaticFiles,
        pages: Sequence[AnyPage],
        *,
        templates: Path | None = None,
        sign_in_path: str | None = None,
    ) -> None:
        self._sign_in_url = look.sign_in_url
        self._sign_in_path = sign_in_path
        self._forms = forms
        self._environment = _environment(templates)
        icons = _icons(self._environment)
        self._navigation = Navigation(pages, icons)
        known: dict[str, Any] = self._environment.globals
        known.update(look=look, static=static.paths, icons=icons, can_sign_out=sign_in_path is not None)

    def page(self, request: Request, view: AnyView, shown: Shown) -> Response:
        browser = self._forms.browser_of(request)
        frame = view.frame
        response = self._html(
            request,
            shown.template,
            shown.status,
            **shown.values,
            view=view,
            frame=frame,
            refusal=view.refusal,
            navigation=self._navigation.of(view, request.scope["path"], _root(request)),
            zone=None if frame is None or not frame.timezone else ZoneInfo(frame.timezone),
            csrf_token=self._forms.token(browser, subject_of(request)),
            message=self._forms.message(request),
        )
        self._forms.finish(request, response, browser)
        return response

    def redirect(self, request: Request, redirect: Redirect) -> Response:
        response = RedirectResponse(_root(request) + redirect.path, 303)
        if redirect.message:
            self._forms.leave_message(request, response, redirect.message)
        if (cookie := redirect.cookie) is not None:
            self._forms.set_cookie(request, response, cookie.name, cookie.value, max_age=cookie.seconds)
        return _secured(response)

    def problem(self, request: Request, problem: Exception) -> Response:
        """The page about a refusal or failure; for a program, the problem document."""
        document = problem_for(request, problem)
        if "text/html" not in request.headers.get("accept", ""):
            return document
        if document.status_code == HTTPStatus.UNAUTHORIZED and request.method == "GET":
            if self._sign_in_path is not None:
                return self.redirect(request, Redirect(self._sign_in_path))
            if self._sign_in_url is not None:
                return _secured(RedirectResponse(self._sign_in_url, 303))
        has_failed = document.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        values = {
            "title": _TITLES.get(document.status_code, "Something went wrong"),
            "text": _text_of(problem),
            "request_id": request.scope.get("hoc.request_id") if has_failed else None,
        }
        view: AnyView | None = request.scope.get(VIEW)
        response = (
            self._html(request, "error.html", document.status_code, **values, **_NOBODYS)
            if view is None
            else self.page(request, view, Shown("error.html", values, document.status_code))
        )
        if (retry_after := document.headers.get("retry-after")) is not None:
            response.headers["Retry-After"] = retry_after
        return response

    def _html(self, request: Request, template: str, status: int, **values: object) -> HTMLResponse:
        text = self._environment.get_template(template).render(values, url=_root(request).__add__)
        return _secured(HTMLResponse(text, status))


def _secured(response: ResponseT) -> ResponseT:
    response.raw_headers.extend(HEADERS)
    return response


def subject_of(request: Request) -> str:
    """Whom a form's token is for: the subject in the credentials, empty for nobody."""
    caller = caller_of(request)
    return "" if caller is None else caller.user_id


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root


def _text_of(problem: Exception) -> str:
    match problem:
        case NotAuthenticatedError():
            return "This page is for people who are signed in."
        case AccountsError():
            return problem.message
        case AuthenticationError():
            return "Your sign-in has expired, or is not valid here. Sign in again."
        case HTTPException(status_code=404):
            return "The address may be mistyped, or what was here is gone."
        case HTTPException():
            return problem.detail
        case _:
            return "The server failed, and has logged why. Try again, or tell the support the number below."


def _environment(templates: Path | None) -> Environment:
    directories = [_OWN] if templates is None else [templates, _OWN]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(each) for each in directories]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    filters: dict[str, Any] = environment.filters
    filters.update(FILTERS | TIMES | MARKS | ROWS | CHARTS)
    if templates is not None:
        _check(environment, templates)
    return environment


def _icons(environment: Environment) -> Mapping[str, Markup]:
    """The icons of `icons.html` by name. In a dictionary: Jinja looks into a module only after an error."""
    exported = vars(environment.get_template("icons.html").module)
    return {name: icon for name, icon in exported.items() if isinstance(icon, Markup)}


def _names(directory: Path) -> Sequence[str]:
    return sorted(each.relative_to(directory).as_posix() for each in directory.rglob("*.html"))


def _check(environment: Environment, templates: Path) -> None:
    """Compile the host's templates. Those of hoc wait until they are shown, so that the start is quick."""
    if not templates.is_dir():
        raise ValueError(f"HOC_CONSOLE_TEMPLATES: {templates} is not a directory.")
    if unknown := sorted(set(_names(templates)) - set(_names(_OWN))):
        known = ", ".join(_names(_OWN))
        raise ValueError(f"HOC_CONSOLE_TEMPLATES: {unknown[0]} replaces no template. There are {known}.")
    for name in _names(templates):
        try:
            environment.get_template(name)
        except TemplateError as wrong:
            raise ValueError(f"HOC_CONSOLE_TEMPLATES: {name} is wrong: {wrong.message}") from wrong
