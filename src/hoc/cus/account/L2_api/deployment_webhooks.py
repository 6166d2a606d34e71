"""Webhook endpoints that are sent the events of the whole deployment. Mounted at ``/api/v1``."""

from dataclasses import fields, replace
from functools import wraps
from http import HTTPStatus
from typing import Any

from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.console.webhooks import WEBHOOKS, DeploymentCall
from hoc.cus.account.L2_api.operations import CALLER, AnyOperation
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade


def _of_deployment(operation: AnyOperation) -> AnyOperation:
    """The same on the deployment's endpoints, of which there may be any number, for callers with a scope."""

    @wraps(operation.handler)
    async def handler(accounts: AccountsFacade, call: Call[Any, Any]) -> Any:  # noqa: ANN401 - the same result
        given = {each.name: getattr(call, each.name) for each in fields(call)}
        return await operation.handler(accounts, DeploymentCall(**given))

    handler.__name__ = f"{operation.name}_of_deployment"
    handler.__doc__ = f"Of the whole deployment: {operation.summary[0].lower()}{operation.summary[1:]}."
    errors = tuple(status for status in operation.errors if status != HTTPStatus.TOO_MANY_REQUESTS)
    return replace(operation, requires=CALLER, scopes=ADMINS, errors=errors)(handler)


DEPLOYMENT_WEBHOOKS: list[AnyOperation] = [_of_deployment(operation) for operation in WEBHOOKS]
"""Served where `Settings.webhooks` is on: otherwise nothing would be sent."""
