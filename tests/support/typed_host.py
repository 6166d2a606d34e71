"""A host's code as its type checker sees it; nothing runs it.

`make check` runs mypy and basedpyright on it. They report a right line with an error. mypy also reports a
wrong line without one, whose comment is unused.
"""

# ruff: noqa: B018 - of an attribute that is not there

import hoc
from hoc.testing import MemoryDatabase


def embedded() -> hoc.Accounts:
    assert hoc.__version__.strip()
    hoc.Settings(database_url=5)  # type: ignore[arg-type]
    hoc.Acounts  # type: ignore[attr-defined]
    return hoc.Accounts(
        hoc.Settings(database_url="postgresql://localhost/app", pool_size=5, data_dir="data"),
    )


async def right_words(facade: hoc.AccountsFacade) -> None:
    async with MemoryDatabase().transaction() as session, session.begin_nested():
        await session.flush()
        await facade.invite_user(session, "t", "ada", email="bob@example.com", role="admin")
        await facade.update_user_role(session, "t", "ada", "bob", hoc.Role.VIEWER)
        await facade.projects.change_status(session, "t", "suspended")
        await facade.projects.override_quotas(session, "t", max_workers=3, max_api_keys=None)


async def wrong_words(facade: hoc.AccountsFacade) -> None:
    async with MemoryDatabase().transaction() as session:
        await facade.invite_user(session, "t", "ada", email="b@example.com", role="admn")  # type: ignore[arg-type]
        await facade.list_users(session, "t", status="gone")  # type: ignore[arg-type]
        await facade.projects.change_status(session, "t", "paused")  # type: ignore[arg-type]
        await facade.projects.override_quotas(session, "t", max_worker=3)  # type: ignore[call-arg]
        await facade.billing.set_subscription(session, "t", plan="gold")  # type: ignore[call-arg,arg-type]
