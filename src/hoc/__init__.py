"""The accounts domain of a multi-tenant product.

The names that most programs need are here, and each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoc.asgi import Accounts
    from hoc.cus.account.L2_api.authentication import Caller, GatewayBackend, JwtBackend
    from hoc.cus.account.L5_engines.account_service import AccountService
    from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade, get_accounts_facade
    from hoc.cus.account.L5_engines.hooks import register_hooks
    from hoc.cus.account.L5_schemas.errors import AccountsError
    from hoc.cus.account.L5_schemas.results import AccountsErrorResult
    from hoc.cus.account.L5_schemas.values import Role
    from hoc.settings import Settings

    __version__: str
else:
    _SOURCES = {
        "AccountService": "hoc.cus.account.L5_engines.account_service",
        "Accounts": "hoc.asgi",
        "AccountsError": "hoc.cus.account.L5_schemas.errors",
        "AccountsErrorResult": "hoc.cus.account.L5_schemas.results",
        "AccountsFacade": "hoc.cus.account.L5_engines.accounts_facade",
        "Caller": "hoc.cus.account.L2_api.authentication",
        "GatewayBackend": "hoc.cus.account.L2_api.authentication",
        "JwtBackend": "hoc.cus.account.L2_api.authentication",
        "Role": "hoc.cus.account.L5_schemas.values",
        "Settings": "hoc.settings",
        "get_accounts_facade": "hoc.cus.account.L5_engines.accounts_facade",
        "register_hooks": "hoc.cus.account.L5_engines.hooks",
    }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from hoc.distribution import installed_version  # noqa: PLC0415 - it takes longer than all the rest

            value = installed_version()
        elif name in _SOURCES:
            value = getattr(import_module(_SOURCES[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AccountService",
    "Accounts",
    "AccountsError",
    "AccountsErrorResult",
    "AccountsFacade",
    "Caller",
    "GatewayBackend",
    "JwtBackend",
    "Role",
    "Settings",
    "__version__",
    "get_accounts_facade",
    "register_hooks",
]
