"""Authentication backends for Starlette's `AuthenticationMiddleware`.

A backend determines the caller (`request.user`) and the scopes (`request.auth.scopes`), but not what the
caller may do. A request without credentials is anonymous. One with invalid credentials is rejected on every
route, public ones included.
"""

from hoc.cus.account.L2_api.authentication.caller import Caller, any_of, caller_of
from hoc.cus.account.L2_api.authentication.development import DevelopmentKeys
from hoc.cus.account.L2_api.authentication.gateway import TRAILERS_DISCARDED, GatewayBackend
from hoc.cus.account.L2_api.authentication.jwt import JwtBackend
from hoc.cus.account.L2_api.authentication.keys import (
    JwksUrl,
    KeySource,
    KeysUnavailableError,
    StaticKeys,
    VerificationKey,
)

__all__ = [
    "TRAILERS_DISCARDED",
    "Caller",
    "DevelopmentKeys",
    "GatewayBackend",
    "JwksUrl",
    "JwtBackend",
    "KeySource",
    "KeysUnavailableError",
    "StaticKeys",
    "VerificationKey",
    "any_of",
    "caller_of",
]
