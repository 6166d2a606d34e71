"""Webhook endpoints, and what became of sending them events: a tenant's, for its owners and admins.

`deployment_webhooks.py` has the same operations on the endpoints of the whole deployment.
"""

from dataclasses import dataclass
from typing import Any

from hoc.cus.account.L2_api.bodies import ChangeWebhook, CreateWebhook, PageQuery, RotateSecret
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    READ,
    REPLICA,
    TENANT,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page, Versioned
from hoc.cus.account.L5_schemas.webhooks import (
    SetAsideListResult,
    WebhookAttemptsListResult,
    WebhookDeletedResult,
    WebhookResult,
    WebhookSecretResult,
    WebhookSendResult,
    WebhooksListResult,
)


@dataclass(slots=True)
class DeploymentCall(Call[Any, Any]):
    """A call about the whole deployment's endpoints, which a caller with the scope for it makes."""


@Operation("GET", "/webhooks", Page[WebhooksListResult], requires=TENANT, opens=REPLICA, query=PageQuery)
async def list_webhooks(accounts: AccountsFacade, call: Call[None, PageQuery]) -> Page[WebhooksListResult]:
    """List webhook endpoints."""
    return await accounts.webhooks.list(call.session, *_caller(call), **call.query.given())


@Operation(
    "POST",
    "/webhooks",
    WebhookSecretResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=CreateWebhook,
    errors=(429,),
)
async def create_webhook(accounts: AccountsFacade, call: Call[CreateWebhook]) -> WebhookSecretResult:
    """Create a webhook endpoint; only this answer has its secret."""
    return await accounts.webhooks.create(
        call.session, *_caller(call), **call.body.model_dump(exclude_unset=True)
    )


@Operation(
    "GET", "/webhooks/{endpoint_id}", Versioned[WebhookResult], requires=TENANT, opens=READ, errors=(404,)
)
async def get_webhook(accounts: AccountsFacade, call: Call) -> Versioned[WebhookResult]:
    """Read a webhook endpoint."""
    return await accounts.webhooks.get(call.session, *_of(call))


@Operation(
    "PUT",
    "/webhooks/{endpoint_id}",
    Versioned[WebhookResult],
    requires=TENANT,
    opens=TRANSACTION,
    body=ChangeWebhook,
    errors=(404,),
    conditional=True,
)
async def update_webhook(accounts: AccountsFacade, call: Call[ChangeWebhook]) -> Versioned[WebhookResult]:
    """Change, enable or disable a webhook endpoint."""
    return await accounts.webhooks.update(
        call.session,
        *_of(call),
        **call.body.model_dump(exclude_unset=True),
        expected_version=call.expected_version,
    )


@Operation(
    "DELETE",
    "/webhooks/{endpoint_id}",
    WebhookDeletedResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404,),
    conditional=True,
)
async def delete_webhook(accounts: AccountsFacade, call: Call) -> WebhookDeletedResult:
    """Delete a webhook endpoint, with its attempts."""
    return await accounts.webhooks.delete(call.session, *_of(call), expected_version=call.expected_version)


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/secret",
    WebhookSecretResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=RotateSecret,
    body_optional=True,
    errors=(404,),
)
async def rotate_webhook_secret(accounts: AccountsFacade, call: Call[RotateSecret]) -> WebhookSecretResult:
    """Give a webhook endpoint a new secret; only this answer has it."""
    return await accounts.webhooks.rotate_secret(
        call.session, *_of(call), overlap_hours=call.body.overlap_hours
    )


@Operation(
    "GET",
    "/webhooks/{endpoint_id}/attempts",
    Page[WebhookAttemptsListResult],
    requires=TENANT,
    opens=READ,
    query=PageQuery,
    errors=(404,),
)
async def list_webhook_attempts(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[WebhookAttemptsListResult]:
    """List the attempts to deliver events to a webhook endpoint, newest first."""
    return await accounts.webhooks.list_attempts(call.session, *_of(call), **call.query.given())


@Operation(
    "GET",
    "/webhooks/{endpoint_id}/set-aside",
    Page[SetAsideListResult],
    requires=TENANT,
    opens=READ,
    query=PageQuery,
    errors=(404,),
)
async def list_set_aside(accounts: AccountsFacade, call: Call[None, PageQuery]) -> Page[SetAsideListResult]:
    """List the events that a webhook endpoint refused ten times, oldest first."""
    return await accounts.webhooks.list_set_aside(call.session, *_of(call), **call.query.given())


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/events/{event_id}/send",
    WebhookSendResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=202,
    errors=(404,),
    queues_work=True,
)
async def send_event_again(accounts: AccountsFacade, call: Call) -> WebhookSendResult:
    """Have an event sent to a webhook endpoint once more."""
    return await accounts.webhooks.send_again(call.session, *_of(call), call.path["event_id"])


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/test",
    WebhookSendResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=202,
    errors=(404,),
    queues_work=True,
)
async def send_webhook_test(accounts: AccountsFacade, call: Call) -> WebhookSendResult:
    """Have a test sent to a webhook endpoint."""
    return await accounts.webhooks.send_test(call.session, *_of(call))


def _caller(call: Call[Any, Any]) -> tuple[str | None, str]:
    """Whose endpoints it is about, None for the whole deployment, and who calls."""
    return None if isinstance(call, DeploymentCall) else call.tenant_id, call.caller_id


def _of(call: Call[Any, Any]) -> tuple[str | None, str, str]:
    """The same, and which endpoint it is."""
    return *_caller(call), call.path["endpoint_id"]


WEBHOOKS: list[AnyOperation] = [
    list_webhooks,
    create_webhook,
    get_webhook,
    update_webhook,
    delete_webhook,
    rotate_webhook_secret,
    list_webhook_attempts,
    list_set_aside,
    send_event_again,
    send_webhook_test,
]
"""Served where `Settings.webhooks` is on: otherwise nothing would be sent."""
