"""Which accounts are asked for: a page of their list, or what a search finds."""

from hoc.cus.account.L5_engines.account_requests import validation
from hoc.cus.account.L5_engines.numbers import is_whole, why_not_whole
from hoc.cus.account.L5_engines.paging import MAX_LIMIT, MAX_OFFSET, CursorScope
from hoc.cus.account.L5_engines.search_terms import search_term
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.identity import AccountFilter, AccountListParams, AccountSearchParams
from hoc.cus.account.L5_schemas.port_types import Window


@validation()
def parsed_list(params: AccountListParams) -> tuple[AccountFilter, CursorScope, Window]:
    """Raises AccountValidationError."""
    if not is_whole(params.page) or params.page < 1:
        raise InvalidInputError.of_parameter("page", "must be a whole number, 1 or more")
    if wrong := why_not_whole(params.page_size, 1, MAX_LIMIT):
        raise InvalidInputError.of_parameter("page_size", wrong)
    offset = (params.page - 1) * params.page_size
    if offset > MAX_OFFSET:
        raise InvalidInputError.of_parameter(
            "page", f"reaches beyond {MAX_OFFSET} accounts; read further by cursor"
        )
    wanted = AccountFilter(params.is_active, search_term("search", params.search))
    scope = CursorScope("accounts", str(wanted.is_active), search=wanted.term)
    return wanted, scope, scope.window(params.page_size, 0 if params.cursor else offset, params.cursor)


@validation()
def parsed_search(params: AccountSearchParams) -> tuple[AccountFilter, Window]:
    """Raises AccountValidationError."""
    if wrong := why_not_whole(params.limit, 1, MAX_LIMIT):
        raise InvalidInputError.of_parameter("limit", wrong)
    term = search_term("query", params.query)
    if term is None:
        raise InvalidInputError.of_parameter("query", "must not be empty")
    return AccountFilter(None if params.include_inactive else True, term), Window(params.limit)
