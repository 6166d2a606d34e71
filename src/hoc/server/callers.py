"""The authentication that the settings configure."""

from starlette.authentication import AuthenticationBackend

from hoc.cus.account.L2_api.authentication import (
    DevelopmentKeys,
    GatewayBackend,
    JwksUrl,
    JwtBackend,
    StaticKeys,
    any_of,
)
from hoc.settings import Settings


def authentication(settings: Settings) -> AuthenticationBackend:
    """The configured backends as one; with none, every request is anonymous."""
    backends: list[AuthenticationBackend] = []
    if settings.gateway_secret is not None:
        backends.append(GatewayBackend(secret=settings.gateway_secret.get_secret_value()))
    if settings.jwt_jwks_url is not None or settings.jwt_public_key is not None:
        backends.append(_jwt_backend(settings))
    if settings.development:
        from hoc.embedded import DataDirectory  # noqa: PLC0415 - only a development server has one

        backends.append(DevelopmentKeys(DataDirectory(settings.data_dir).development_key).backend())
    return any_of(*backends)


def pages_authentication(settings: Settings) -> AuthenticationBackend | None:
    """Who knows people that open the pages; None where they are not served.

    Raises ValueError if they are to be, and nothing can tell people in a browser.
    """
    if not settings.serves_pages:
        return None
    if settings.development:
        from hoc.cus.account.L2_api.pages.development import DevelopmentSignIn  # noqa: PLC0415 - needs an extra
        from hoc.embedded import DataDirectory  # noqa: PLC0415 - only a development server has one

        data = DataDirectory(settings.data_dir)
        return DevelopmentSignIn(DevelopmentKeys(data.development_key), data.path / "sign-ins")
    if settings.gateway_secret is not None:
        return GatewayBackend(secret=settings.gateway_secret.get_secret_value())
    raise ValueError(
        "HOC_CONSOLE is true, but nothing tells who opens the pages: a browser sends no access token. Put a"
        " gateway in front (HOC_GATEWAY_SECRET), or mount the pages in an application that signs people in."
    )


def _jwt_backend(settings: Settings) -> JwtBackend:
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        raise ValueError("HOC_JWT_ISSUER and HOC_JWT_AUDIENCE must be set with a key to verify tokens by.")
    keys = (
        JwksUrl(settings.jwt_jwks_url)
        if settings.jwt_jwks_url is not None
        else StaticKeys.from_pem((settings.jwt_public_key or "").encode())
    )
    return JwtBackend(
        key_source=keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        audience_claim=settings.jwt_audience_claim,
        tenant_claim=settings.jwt_tenant_claim,
    )
