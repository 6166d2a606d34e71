"""Dead letters: events that could not be published, and messages that could not be handled."""

from hoc.cus.account.L2_api.bodies import Body, Cursor, Query
from hoc.cus.account.L2_api.operations import CALLER, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L2_api.scopes import ADMINS


class ListedDeadLetters(Query):
    cursor: Cursor | None = None


class RetryForm(Body):
    """Without ``id``, all are tried again."""

    id: str | None = None


@Page(
    "GET",
    "/admin/dead-letters",
    requires=CALLER,
    scopes=ADMINS,
    query=ListedDeadLetters,
    nav=Nav("Dead letters", "bell"),
)
async def dead_letters(view: View[None, ListedDeadLetters]) -> Answer:
    page = await view.accounts.operators.list_dead_letters(view.session, cursor=view.query.cursor)
    return view.show(
        "admin_dead_letters.html",
        "Dead letters",
        page=page.value,
        path=view.admin_path("dead-letters", "retry"),
        next=page.next_cursor and view.admin_path("dead-letters", cursor=page.next_cursor),
        first=view.query.cursor and view.admin_path("dead-letters"),
    )


@Page(
    "POST",
    "/admin/dead-letters/retry",
    requires=CALLER,
    scopes=ADMINS,
    opens=TRANSACTION,
    body=RetryForm,
    again=dead_letters,
)
async def retry_dead_letters(view: View[RetryForm]) -> Answer:
    ids = None if view.body.id is None else [view.body.id]
    count = await view.accounts.operators.retry_dead_letters(view.session, ids)
    what = "1 dead letter" if count == 1 else f"{count} dead letters"
    return view.go(
        view.admin_path("dead-letters"),
        f"{what} will be tried again. One that succeeds disappears from this list.",
    )


DEAD_LETTERS: list[AnyPage] = [dead_letters, retry_dead_letters]
