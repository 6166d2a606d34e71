"""Doing what a `Page` says: from a request to HTML, or on to another page."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.authentication import caller_of
from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.call import require_caller
from hoc.cus.account.L2_api.callers import Callers
from hoc.cus.account.L2_api.consistency import Consistency
from hoc.cus.account.L2_api.operations import MEMBER, NOTHING, Opens
from hoc.cus.account.L2_api.pages.forms import form_fields, parse
from hoc.cus.account.L2_api.pages.page import AnyPage
from hoc.cus.account.L2_api.pages.rendering import VIEW, Renderer, subject_of
from hoc.cus.account.L2_api.pages.security import FIELD, Forms
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, Redirect, Refusal, Shown, View
from hoc.cus.account.L2_api.request import ReceivedRequest, check_path
from hoc.cus.account.L5_engines.access import require_reader
from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import AccountsError, ForbiddenError
from hoc.cus.account.L5_schemas.frames import FrameFetch
from hoc.database import Database, Reads


@dataclass(frozen=True, slots=True)
class PageParts:
    """What every page needs.

    ``frames`` reads the caller's account and access, and what surrounds the page. ``on_work_queued`` is
    called after a commit that may have queued a mail.
    """

    accounts: AccountsFacade
    identity: AccountService
    database: Database
    callers: Callers
    frames: FrameFetch
    on_work_queued: Callable[[], None]
    reads: Reads


def page_route(page: AnyPage, parts: PageParts, renderer: Renderer, forms: Forms) -> Route:
    endpoint = PageEndpoint(page, parts, renderer, forms)
    return Route(page.full_path, endpoint.handle, methods=[page.method], name=page.name)


class PageEndpoint:
    """Answers the requests of one page."""

    def __init__(self, page: AnyPage, parts: PageParts, renderer: Renderer, forms: Forms) -> None:
        self._page = page
        self._parts = parts
        self._renderer = renderer
        self._forms = forms
        self._consistency = Consistency(parts.reads.replica)

    async def handle(self, request: ReceivedRequest) -> Response:
        """Pages are read on the primary. What their forms change, the caller's other reads must see."""
        if self._page.method == "POST" and self._page.opens is not Opens.READ:
            return await self._consistency.kept(caller_of(request), self._handle(request))
        return await self._handle(request)

    async def _handle(self, request: ReceivedRequest) -> Response:
        page = self._page
        view = self._view(request)
        if page.requires is not NOTHING:
            require_caller(view, in_tenant=False)
        check_path(view.path)
        if page.method == "POST":
            view.fields = self._checked_form(request)
        try:
            answer = await self._answer(request, view)
        except AccountsError as refusal:
            may_open = VIEW in request.scope
            if not may_open or page.again is None or refusal.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            view, answer = await self._again(view, page.again, refusal)
        if page.queues_work:
            self._parts.on_work_queued()
        return self._response(request, view, answer)

    def _view(self, request: ReceivedRequest) -> AnyView:
        caller = caller_of(request)
        if caller is not None and self._page.requires is MEMBER:
            caller = replace(caller, tenant_id=request.path_params["tenant_id"])
        return View(
            caller,
            getattr(request.scope.get("auth"), "scopes", ()),
            request.path_params,
            body=None,
            query=None,
            identify=partial(self._parts.callers.identify, request),
            request=request,
            accounts=self._parts.accounts,
            identity=self._parts.identity,
        )

    def _checked_form(self, request: ReceivedRequest) -> list[tuple[str, str]]:
        """The form's fields, after its token is found right."""
        fields = form_fields(request)
        token = next((value for name, value in fields if name == FIELD), "")
        self._forms.check(request, token, subject_of(request))
        return [(name, value) for name, value in fields if name != FIELD]

    async def _answer(self, request: Request, view: AnyView) -> Answer:
        """What the page's handler answers to a caller who may open the page."""
        page = self._page
        if page.requires is NOTHING:
            if view.optional_caller is not None:
                view.optional_caller = await self._parts.callers.account_of(view.caller)
            self._open(request, view)
            return await self._run(page, view)
        async with self._parts.database.reading() as session:
            await self._require_rights(session, view)
            self._open(request, view)
            if page.opens is Opens.READ:
                view.session = session
                answer: Answer = await page.handler(view)
                return answer
        return await self._run(page, view)

    async def _require_rights(self, session: Session, view: AnyView) -> None:
        """Refuse a caller who may not, and put its account's id and the frame into the view."""
        page, callers = self._page, self._parts.callers
        is_member = page.requires is MEMBER
        frame = view.frame = await self._parts.frames(
            session, callers.subject_of(view.caller), view.tenant_id if is_member else None
        )
        if is_member:
            require_reader(frame.access)
        view.optional_caller = callers.as_account(view.caller, frame.user_id)
        if page.scopes and set(page.scopes).isdisjoint(view.scopes):
            raise ForbiddenError(
                f"This page needs the scope {' or '.join(page.scopes)}.", code="missing_scope"
            )

    def _open(self, request: Request, view: AnyView) -> None:
        """Parse what is asked. From now on, a refusal is shown within the page's frame."""
        page = self._page
        request.scope[VIEW] = view
        if page.query is not None or request.scope["query_string"]:
            view.query = parse(request.query_params.multi_items(), page.query or Query, prefix="?")
        if page.body is not None:
            view.body = parse(view.fields, page.body, prefix="/")

    async def _again(self, view: AnyView, page: AnyPage, refusal: AccountsError) -> tuple[AnyView, Answer]:
        """The page with the refused form: its fields as they were sent, and what is wrong with them."""
        again = replace(
            view,
            body=None if page.body is None else parse(view.fields, page.body, prefix="/"),
            query=None if page.query is None else page.query(),
            refusal=Refusal(refusal, dict(view.fields)),
        )
        answer = await self._run(page, again)
        return again, replace(answer, status=refusal.status_code) if isinstance(answer, Shown) else answer

    async def _run(self, page: AnyPage, view: AnyView) -> Answer:
        """What the page's handler answers, in the session that the page opens."""

        async def work(session: Session) -> Answer:
            view.session = session
            answer: Answer = await page.handler(view)
            return answer

        match page.opens:
            case Opens.READ | Opens.REPLICA:
                async with self._parts.database.reading() as session:
                    return await work(session)
            case Opens.NOTHING:
                return await work(None)
            case Opens.STATEMENT:
                return await self._parts.database.write(work)
            case _:
                return await self._parts.database.atomically(work)

    def _response(self, request: Request, view: AnyView, answer: Answer) -> Response:
        if isinstance(answer, Redirect):
            return self._renderer.redirect(request, answer)
        return self._renderer.page(request, view, answer)
