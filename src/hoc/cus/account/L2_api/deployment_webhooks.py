"""Webhook endpoints that are sent the events of the whole deployment. Mounted at ``/api/v1``."""

from typing import Any

from hoc.cus.account.L2_api.bodies import ChangeWebhook, CreateWebhook, PageQuery, RotateSecret
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    READ,
    REPLICA,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L2_api.scopes import ADMINS
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


@Operation("GET", "/webhooks", Page[WebhooksListResult], scopes=ADMINS, opens=REPLICA, query=PageQuery)
async def list_webhooks_of_deployment(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[WebhooksListResult]:
    """List the whole deployment's webhook endpoints."""
    return await accounts.webhooks.list(call.session, None, call.caller_id, **call.query.given())


@Operation(
    "POST",
    "/webhooks",
    WebhookSecretResult,
    scopes=ADMINS,
    opens=TRANSACTION,
    status=201,
    body=CreateWebhook,
)
async def create_webhook_of_deployment(
    accounts: AccountsFacade, call: Call[CreateWebhook]
) -> WebhookSecretResult:
    """Create a webhook endpoint of the whole deployment; only this answer has its secret."""
    return await accounts.webhooks.create(
        call.session, None, call.caller_id, **call.body.model_dump(exclude_unset=True)
    )


@Operation(
    "GET", "/webhooks/{endpoint_id}", Versioned[WebhookResult], scopes=ADMINS, opens=READ, errors=(404,)
)
async def get_webhook_of_deployment(accounts: AccountsFacade, call: Call) -> Versioned[WebhookResult]:
    """Read a webhook endpoint of the whole deployment."""
    return await accounts.webhooks.get(call.session, *_of(call))


@Operation(
    "PUT",
    "/webhooks/{endpoint_id}",
    Versioned[WebhookResult],
    scopes=ADMINS,
    opens=TRANSACTION,
    body=ChangeWebhook,
    errors=(404,),
    conditional=True,
)
async def update_webhook_of_deployment(
    accounts: AccountsFacade, call: Call[ChangeWebhook]
) -> Versioned[WebhookResult]:
    """Change, enable or disable a webhook endpoint of the whole deployment."""
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
    scopes=ADMINS,
    opens=TRANSACTION,
    errors=(404,),
    conditional=True,
)
async def delete_webhook_of_deployment(accounts: AccountsFacade, call: Call) -> WebhookDeletedResult:
    """Delete a webhook endpoint of the whole deployment, with its attempts."""
    return await accounts.webhooks.delete(call.session, *_of(call), expected_version=call.expected_version)


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/secret",
    WebhookSecretResult,
    scopes=ADMINS,
    opens=TRANSACTION,
    body=RotateSecret,
    body_optional=True,
    errors=(404,),
)
async def rotate_webhook_secret_of_deployment(
    accounts: AccountsFacade, call: Call[RotateSecret]
) -> WebhookSecretResult:
    """Give a webhook endpoint of the whole deployment a new secret; only this answer has it."""
    return await accounts.webhooks.rotate_secret(
        call.session, *_of(call), overlap_hours=call.body.overlap_hours
    )


@Operation(
    "GET",
    "/webhooks/{endpoint_id}/attempts",
    Page[WebhookAttemptsListResult],
    scopes=ADMINS,
    opens=READ,
    query=PageQuery,
    errors=(404,),
)
async def list_webhook_attempts_of_deployment(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[WebhookAttemptsListResult]:
    """List the attempts to deliver events to a webhook endpoint of the whole deployment, newest first."""
    return await accounts.webhooks.list_attempts(call.session, *_of(call), **call.query.given())


@Operation(
    "GET",
    "/webhooks/{endpoint_id}/set-aside",
    Page[SetAsideListResult],
    scopes=ADMINS,
    opens=READ,
    query=PageQuery,
    errors=(404,),
)
async def list_set_aside_of_deployment(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[SetAsideListResult]:
    """List the events that a webhook endpoint of the whole deployment refused ten times, oldest first."""
    return await accounts.webhooks.list_set_aside(call.session, *_of(call), **call.query.given())


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/events/{event_id}/send",
    WebhookSendResult,
    scopes=ADMINS,
    opens=TRANSACTION,
    status=202,
    errors=(404,),
    queues_work=True,
)
async def send_event_again_of_deployment(accounts: AccountsFacade, call: Call) -> WebhookSendResult:
    """Have an event sent to a webhook endpoint of the whole deployment once more."""
    return await accounts.webhooks.send_again(call.session, *_of(call), call.path["event_id"])


@Operation(
    "POST",
    "/webhooks/{endpoint_id}/test",
    WebhookSendResult,
    scopes=ADMINS,
    opens=TRANSACTION,
    status=202,
    errors=(404,),
    queues_work=True,
)
async def send_webhook_test_of_deployment(accounts: AccountsFacade, call: Call) -> WebhookSendResult:
    """Have a test sent to a webhook endpoint of the whole deployment."""
    return await accounts.webhooks.send_test(call.session, *_of(call))


def _of(call: Call[Any, Any]) -> tuple[None, str, str]:
    """Whose endpoint it is, who calls, and which one it is."""
    return None, call.caller_id, call.path["endpoint_id"]


DEPLOYMENT_WEBHOOKS: list[AnyOperation] = [
    list_webhooks_of_deployment,
    create_webhook_of_deployment,
    get_webhook_of_deployment,
    update_webhook_of_deployment,
    delete_webhook_of_deployment,
    rotate_webhook_secret_of_deployment,
    list_webhook_attempts_of_deployment,
    list_set_aside_of_deployment,
    send_event_again_of_deployment,
    send_webhook_test_of_deployment,
]
"""Served where `Settings.webhooks` is on: otherwise nothing would be sent."""
