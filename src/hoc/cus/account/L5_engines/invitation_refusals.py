"""Why an invitation is not stored."""

from hoc.cus.account.L5_engines.quotas import quota_exceeded
from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError, LimitExceededError
from hoc.cus.account.L5_schemas.port_types import InviteObstacles, QuotaRefusal

_RETRY_TOMORROW = 86_400


def refusal_of(obstacles: InviteObstacles) -> ConflictError | ForbiddenError | LimitExceededError:
    """The error that says why an invitation was not stored."""
    if obstacles.already_member:
        return ConflictError("A member of this tenant has this address already.", code="already_member")
    if obstacles.already_pending:
        return ConflictError("An invitation to this address is pending. Resend it.", code="already_pending")
    if obstacles.outside_domains:
        return ForbiddenError(
            "This tenant invites only addresses in its verified domains.", code="outside_domains"
        )
    return _limit_of(obstacles) or ConflictError(
        "The tenant changed while your request was processed. Try again."
    )


def _limit_of(obstacles: InviteObstacles) -> LimitExceededError | None:
    if obstacles.max_members is not None:
        return quota_exceeded(
            QuotaRefusal("max_members", obstacles.max_members), hint="Members and pending invitations count."
        )
    if obstacles.tenant_limit_reached:
        return LimitExceededError(
            "This tenant has sent its daily limit of invitations. Try again tomorrow.",
            retry_after=_RETRY_TOMORROW,
        )
    if obstacles.recipient_limit_reached:
        return LimitExceededError(
            "This address has received its daily limit of invitations. Try again tomorrow.",
            retry_after=_RETRY_TOMORROW,
        )
    return None
