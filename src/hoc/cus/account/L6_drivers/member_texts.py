"""The text by which a member is found: a copy of the account's address and name, beside the membership.

The copy is what makes a search among a tenant's members fast: one index has the tenant and the text. A
membership is created while its account is locked, and a change of the account copies the text again in a
statement after the one that locks the account. So neither misses the other.
"""

from sqlalchemy import ColumnElement, Text, case, func, literal_column, select, update

from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, USER
from hoc.cus.account.L6_drivers.tables import memberships, users

# No term contains a line break, so no match extends over two of the texts. Each begins with a space, as its
# later words do. An address outside ASCII is in it as it was given, too: see `tables.SEARCHED`.
_BREAK: ColumnElement[str] = literal_column("E'\\n '", Text)
_IS_ASCII = func.octet_length(users.c.email) == func.char_length(users.c.email)
_NOTHING: ColumnElement[str] = literal_column("''", Text)
SEARCHED: ColumnElement[str] = (
    literal_column("' '", Text)
    + func.coalesce(users.c.email_key, func.lower(users.c.email))
    + _BREAK
    + func.coalesce(users.c.name_key, _NOTHING)
    + case((_IS_ASCII, _NOTHING), else_=_BREAK + users.c.email)
)

# The account is locked already, and so has this text until the transaction ends.
NEW_MEMBER = (
    select(users.c.user_id, SEARCHED.label("searched")).where(users.c.user_id == USER).cte("new_member")
)

COPY = (
    update(memberships)
    .where(
        memberships.c.user_id == users.c.user_id,
        users.c.user_id == ACCOUNT,
        memberships.c.searched != SEARCHED,
    )
    .values(searched=SEARCHED)
    .returning(memberships.c.tenant_id)
)


async def copy_text(session: SqlSession, user_id: str) -> None:
    """Have the memberships of a locked account found by its present name and address."""
    await fetch_one(session, COPY, user_id=user_id)
