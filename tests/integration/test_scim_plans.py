"""A search of a directory reads what it shows and little else, whichever plan PostgreSQL chooses."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from scim2_models import Group, SearchRequest
from support.plans import MODES, blocks_read
from support.postgres import opened
from support.seed import execute

from hoc.database import Database
from hoc.scim.columns import GROUPS, USERS, Columns
from hoc.scim.searching import Search
from hoc.scim.sorting import Position
from hoc.scim.user import EnterpriseUser, User

LARGE = "large"
ROWS = 20_000
AT = 100_000 + ROWS // 2
FILL = (
    f"INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('{LARGE}', 'L', 'l'), ('other', 'O', 'o')",
    f"""INSERT INTO account.scim_users
          (tenant_id, resource_id, user_name, is_active, external_id, resource, compared)
        SELECT tenant_id, 'r' || n, 'u' || n, true, 'x' || n, '{{}}', jsonb_build_object('emails',
          jsonb_build_array(jsonb_build_object('value', 'u' || n || '@x.y', 'type', 'work')))
        FROM (VALUES ('{LARGE}', {ROWS}), ('other', 2000)) AS tenants (tenant_id, rows),
          generate_series(100000, 99999 + rows) AS n""",
    f"""INSERT INTO account.scim_groups (tenant_id, resource_id, display_name, resource, compared)
        SELECT '{LARGE}', 'g' || n, 'd' || n, '{{}}', '{{}}' FROM generate_series(1, 2000) AS n""",
    f"""INSERT INTO account.scim_group_members (tenant_id, group_id, member_id)
        SELECT '{LARGE}', 'g' || n % 2000 + 1, 'r' || n FROM generate_series({AT}, {AT + 4_000}) AS n""",
    "SELECT gin_clean_pending_list('account.ix_scim_users_compared')",
    "ANALYZE account.scim_users, account.scim_groups, account.scim_group_members",
)
PAGE = 20
FEW_BLOCKS = 80  # of which most are for the page's rows, each by the index of its id
OF_NAME = {"filter": f'userName eq "U{AT}"'}
OF_USERS: Mapping[str, tuple[dict[str, str], Position | None]] = {
    "userName": (OF_NAME, None),
    "userName, active": ({"filter": f'userName eq "u{AT}" and active eq true'}, None),
    "externalId": ({"filter": f'externalId eq "x{AT}"'}, None),
    "address": ({"filter": f'emails.value eq "u{AT}@X.y"'}, None),
    "address of a type": ({"filter": f'emails[type eq "work" and value eq "u{AT}@x.y"]'}, None),
    "first page": ({}, None),
    "first page, sorted": ({"sort_by": "userName"}, None),
    "last page, sorted": ({"sort_by": "userName", "sort_order": "descending"}, None),
    "page after another": ({"cursor": "x"}, Position("next", None, f"r{AT}")),
    "page before another": ({"cursor": "x"}, Position("previous", None, f"r{AT}")),
    "page after another, sorted": (
        {"cursor": "x", "sort_by": "userName"},
        Position("next", f"u{AT}", f"r{AT}"),
    ),
}
OF_GROUPS: Mapping[str, tuple[dict[str, str], Position | None]] = {
    "displayName": ({"filter": 'displayName eq "D1000"'}, None),
    "member": ({"filter": f'members.value eq "r{AT}"'}, None),
}
INDEXES = {
    "userName": "uq_scim_users_user_name",
    "externalId": "ix_scim_users_external_id",
    "address": "ix_scim_users_compared",
}


@pytest.fixture
async def database(fresh_database_url: str) -> AsyncGenerator[Database]:
    async with opened(fresh_database_url, statement_timeout_ms=60_000) as patient:
        for statement in FILL:
            await execute(patient, statement)
        yield patient


async def read_of(
    database: Database, columns: Columns, mode: str, asked: dict[str, Any], position: Position | None
) -> int:
    """The blocks of resources that a search reads."""
    request = SearchRequest[User[EnterpriseUser] | Group](**asked, count=PAGE)
    search = Search(request, [columns], position, PAGE + 1, 0, with_related=frozenset({"User", "Group"}))
    statement, values = search.statement()
    given = {f"given_{name}": value for name, value in values.items()} | {"given_tenant_id": LARGE}
    return await blocks_read(database, statement, given, table=columns.table.name, mode=mode)


@pytest.mark.parametrize("mode", MODES)
async def test_a_search_of_a_directory_reads_few_blocks(database: Database, mode: str) -> None:
    read = {
        name: await read_of(database, columns, mode, *search)
        for columns, searches in ((USERS, OF_USERS), (GROUPS, OF_GROUPS))
        for name, search in searches.items()
    }
    assert {name: blocks for name, blocks in read.items() if not 0 < blocks <= FEW_BLOCKS} == {}


async def test_without_its_index_a_search_reads_everything(database: Database) -> None:
    for name, index in INDEXES.items():
        await execute(database, f"DROP INDEX account.{index}")
        assert await read_of(database, USERS, MODES[0], *OF_USERS[name]) > 5 * FEW_BLOCKS
