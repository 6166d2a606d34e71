"""The query of usage by day. Its ``from`` is a keyword of Python, so that no class can name it."""

import re
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, create_model
from pydantic_core import PydanticCustomError

from hoc.cus.account.L2_api.bodies import Query

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _from_iso_date(given: object) -> date:
    """date.fromisoformat() would also take 20260314 and 2026-W11-6."""
    if isinstance(given, str) and _ISO_DATE.fullmatch(given):
        with suppress(ValueError):
            return date.fromisoformat(given)
    raise PydanticCustomError("iso_date", "must be a date, such as 2026-03-14")


if TYPE_CHECKING:

    class UsageDaysQuery(Query):
        """``from`` and ``to``, both days in UTC and both included."""

else:
    _DAY = (Annotated[date | None, BeforeValidator(_from_iso_date)], None)
    UsageDaysQuery = create_model("UsageDaysQuery", __base__=Query, **{"from": _DAY, "to": _DAY})
