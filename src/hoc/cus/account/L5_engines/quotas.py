"""What the engines that enforce quotas say when they refuse."""

from hoc.cus.account.L5_schemas.errors import LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import QuotaRefusal


def quota_exceeded(
    refusal: QuotaRefusal, *, hint: str = "", retry_after: int | None = None
) -> LimitExceededError:
    return LimitExceededError(
        f"The quota {refusal.quota} of {refusal.limit} is used up. {hint}".rstrip(),
        code="quota_exceeded",
        retry_after=retry_after,
    )


def no_such_active_tenant() -> NotFoundError:
    return NotFoundError("There is no such active tenant.")
